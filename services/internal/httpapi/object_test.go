package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// FuzzDecodeObject compares DecodeObject with encoding/json: the same bodies are
// objects, and their fields have the same values. A lone surrogate is an error
// for DecodeObject alone.
func FuzzDecodeObject(f *testing.F) {
	for _, seed := range []string{
		`{}`, ` { } `, `{"a":1}`, `{"user_id":"123","product":"Laptop","quantity":1}`,
		"\t{\r\n\"a\" : -1.5e+3 , \"b\":null,\"c\" :true\n}\n", `{"":"","a":"}","b":"{","c":"\"","d":"\\","e":"\\\""}`,
		`{"a":{"b":[1,{"c":"]"}],"d":{}},"e":[[],[]],"f":[]}`, `{"a\u00e9\ud83d\ude00":"\u0000"}`, `{"é😀":"é😀"}`,
		`{"a":1,"a":2}`, `{"a":"\ud800"}`, `[1]`, `{"a":1}x`, `{"a":1`, `{"a":1,}`, `{,}`, "{\"\xff\":1}", "{\"a\":\"\xff\"}",
		`{"a":["x","y"],"b":["x",1,"y"],"c":["x",["y"]]}`, "\ufeff{}", `{} {}`, `{"a":01}`, `1`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		want, isObject := fieldsOf(body)
		got := make(map[string]any)
		var fields []Field
		for name := range want {
			fields = append(fields, Field{Name: name, Set: func(v Value) string {
				switch v.kind {
				case '"', '0', 't', 'f', 'n':
					got[name] = v.text
				default:
					got[name] = v.strings
				}
				return ""
			}})
		}
		err := DecodeObject(body, "an object", fields...)
		var problem *Problem
		switch {
		case !isObject || err != nil && bytes.Contains(bytes.ToLower(body), []byte(`\ud`)):
			if !errors.As(err, &problem) || problem.Status != http.StatusBadRequest {
				t.Errorf("%q: got %v, want it malformed", body, err)
			}
		case err != nil && !(errors.As(err, &problem) && strings.Contains(problem.Detail, "is given more than once")):
			t.Errorf("%q: %v", body, err)
		default:
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("fields of %q (-want +got):\n%s", body, diff)
			}
		}
	})
}

// fieldsOf returns the first value of each field, as encoding/json decodes it: the
// text of a scalar, the leading strings of an array.
func fieldsOf(body []byte) (fields map[string]any, isObject bool) {
	if !json.Valid(body) || !utf8.Valid(body) {
		return nil, false
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil, false
	}
	fields = make(map[string]any)
	for decoder.More() {
		token, err := decoder.Token()
		var raw json.RawMessage
		if err != nil || decoder.Decode(&raw) != nil {
			return nil, false
		}
		name := token.(string)
		if _, given := fields[name]; given {
			continue
		}
		var elements []any
		var text string
		switch {
		case raw[0] == '[' && json.Unmarshal(raw, &elements) == nil:
			var leading []string
			for _, element := range elements {
				element, isString := element.(string)
				if !isString {
					break
				}
				leading = append(leading, element)
			}
			fields[name] = leading
		case raw[0] == '{':
			fields[name] = []string(nil)
		case raw[0] == '"' && json.Unmarshal(raw, &text) == nil:
			fields[name] = text
		default:
			fields[name] = string(raw)
		}
	}
	return fields, true
}

// A body that is nested deeply takes little memory, whatever its fields should be.
func TestDeeplyNestedBody(t *testing.T) {
	for name, body := range map[string]string{
		"arrays":  `{"a":` + strings.Repeat("[", 9_999) + strings.Repeat("]", 9_999) + "}",
		"objects": `{"a":` + strings.Repeat(`{"":`, 9_998) + "1" + strings.Repeat("}", 9_998) + "}",
	} {
		t.Run(name, func(t *testing.T) {
			stack := make(chan uint64)
			go func() { // on a stack of its own
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				var problem *Problem
				if err := DecodeObject([]byte(body), "an object", Field{Name: "a", Set: Strings(new([]string))}); !errors.As(err, &problem) || problem.Status != http.StatusUnprocessableEntity {
					t.Errorf("got %v, want the field refused", err)
				}
				runtime.ReadMemStats(&after)
				stack <- after.StackInuse - min(after.StackInuse, before.StackInuse)
			}()
			if grown := <-stack; grown > 512<<10 {
				t.Errorf("the stack has grown by %d bytes", grown)
			}
		})
	}
}

func BenchmarkDecodeObject(b *testing.B) {
	order := []byte(`{"user_id":"123","product":"Laptop","quantity":1}`)
	b.ReportAllocs()
	for b.Loop() {
		var user, product string
		var quantity int
		err := DecodeObject(order, "an order",
			Field{Name: "user_id", Set: String(&user)}, Field{Name: "product", Set: String(&product)}, Field{Name: "quantity", Set: Int(&quantity)})
		if err != nil {
			b.Fatal(err)
		}
	}
}
