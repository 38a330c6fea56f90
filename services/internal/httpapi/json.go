package httpapi

import (
	"bytes"
	"encoding/json"
	"iter"
	"strings"
)

// What follows takes apart valid JSON in valid UTF-8. The decoder of
// encoding/json, asked for one token after the other, takes three times as
// long: see BenchmarkDecodeObject.

const space = " \t\r\n"

func isObject(body []byte) bool { return bytes.HasPrefix(bytes.TrimLeft(body, space), []byte("{")) }

// members returns the names and values of an object, in their order.
func members(object []byte) iter.Seq2[string, json.RawMessage] {
	return func(yield func(string, json.RawMessage) bool) {
		rest := bytes.TrimLeft(object, space)[1:]
		next := func(separators string) []byte {
			rest = bytes.TrimLeft(rest, separators)
			value := rest[:length(rest)]
			rest = rest[len(value):]
			return value
		}
		for {
			name := next(space + ",")
			if len(name) == 0 { // the end of the object
				return
			}
			value := next(space + ":")
			if !yield(unquote(name), value) {
				return
			}
		}
	}
}

// length returns how long the value is that the text begins with; 0 if it
// begins with the end of what surrounds it.
func length(text []byte) int {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
			if depth == 0 && !quoted {
				return i + 1
			}
		case quoted:
		case c == '{', c == '[':
			depth++
		case c == '}', c == ']':
			if depth == 0 { // of a number or a word
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case depth == 0 && (c == ',' || strings.IndexByte(space, c) >= 0):
			return i
		}
	}
	return len(text)
}

// unquote returns the text that a JSON string stands for.
func unquote(quoted []byte) (text string) {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1])
	}
	_ = json.Unmarshal(quoted, &text) // what is valid can be read
	return text
}
