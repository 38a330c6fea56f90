package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// Field is a field of a JSON object in a request's body.
type Field struct {
	Name     string
	Optional bool

	// Set stores the field's value, or returns why it can't, as the end of a
	// sentence that begins with the field's name.
	Set func(Value) (reason string)
}

func (f Field) name() string { return f.Name }

// DecodeObject decodes a body that was read already; see [ReadObject].
func DecodeObject(body []byte, what string, fields ...Field) error {
	// Duplicate names are faults like others, to be reported together with them.
	d := jsontext.NewDecoder(bytes.NewBuffer(body), jsontext.AllowDuplicateNames(true))
	if kind := d.PeekKind(); kind != jsontext.KindBeginObject && kind != jsontext.KindInvalid {
		return Malformed("the body must be a JSON object, not " + nameOf(kind))
	}
	if _, err := d.ReadToken(); err != nil {
		return notJSON(err)
	}
	var f faults
	seen := make([]bool, len(fields))
	for d.PeekKind() != jsontext.KindEndObject {
		token, err := d.ReadToken()
		if err != nil {
			return notJSON(err)
		}
		name := token.String()
		value, err := readValue(d)
		if err != nil {
			return notJSON(err, shown(name))
		}
		i := slices.IndexFunc(fields, func(field Field) bool { return field.Name == name })
		switch {
		case i < 0:
			addUnknown(&f, name, fields, Field.name, "a field of ", what)
		case seen[i]:
			f.add(name, "is given more than once")
		default:
			seen[i] = true
			f.add(name, fields[i].Set(value))
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return notJSON(err)
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return Malformed("the body goes on after the JSON object")
	}
	for i, field := range fields {
		if !field.Optional && !seen[i] {
			f.add(field.Name, "is missing")
		}
	}
	return f.err()
}

// notJSON returns the problem of a body that is not valid JSON, found while
// reading the fields.
func notJSON(err error, fields ...string) error {
	detail := "the body is not valid JSON"
	var syntax *jsontext.SyntacticError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		detail += ": it ends too early"
	case errors.As(err, &syntax):
		detail += fmt.Sprintf(": %v, at byte %d", syntax.Err, syntax.ByteOffset+1)
	}
	return Malformed(detail, fields...)
}

// Value is a field's value.
type Value struct {
	kind        jsontext.Kind
	text        string   // of a string, number or literal
	strings     []string // of an array, up to the first element that is no string
	onlyStrings bool     // an array of nothing else
}

// readValue reads the next value. It does not recurse: a value that is nested
// deeply would make the goroutine's stack grow by megabytes.
func readValue(d *jsontext.Decoder) (Value, error) {
	token, err := d.ReadToken()
	if err != nil {
		return Value{}, err
	}
	v := Value{kind: token.Kind()}
	if v.kind != jsontext.KindBeginArray && v.kind != jsontext.KindBeginObject {
		v.text = token.String()
		return v, nil
	}
	v.onlyStrings = v.kind == jsontext.KindBeginArray
	for depth := d.StackDepth(); ; {
		token, err := d.ReadToken()
		if err != nil || d.StackDepth() < depth {
			return v, err
		}
		v.onlyStrings = v.onlyStrings && token.Kind() == jsontext.KindString
		if v.onlyStrings {
			v.strings = append(v.strings, token.String())
		}
	}
}

func nameOf(kind jsontext.Kind) string {
	switch kind {
	case jsontext.KindBeginObject:
		return "an object"
	case jsontext.KindBeginArray:
		return "a list"
	case jsontext.KindString:
		return "a string"
	case jsontext.KindTrue, jsontext.KindFalse:
		return "a boolean"
	case jsontext.KindNull:
		return "null"
	}
	return "a number"
}

// String stores a string.
func String(to *string) func(Value) string {
	return func(v Value) (reason string) {
		if v.kind != jsontext.KindString {
			return "must be a string, not " + nameOf(v.kind)
		}
		*to = v.text
		return ""
	}
}

// Strings stores a list of strings.
func Strings(to *[]string) func(Value) string {
	return func(v Value) (reason string) {
		if !v.onlyStrings {
			return "must be a list of strings"
		}
		*to = v.strings
		return ""
	}
}

// Int stores a whole number; one that is out of range becomes the nearest.
func Int(to *int) func(Value) string {
	return func(v Value) (reason string) {
		if v.kind != jsontext.KindNumber {
			return "must be a whole number, not " + nameOf(v.kind)
		}
		n, err := strconv.Atoi(v.text)
		if err != nil && !errors.Is(err, strconv.ErrRange) {
			return "must be a whole number, without fraction or exponent"
		}
		*to = n
		return ""
	}
}

// Bool stores a boolean.
func Bool(to *bool) func(Value) string {
	return func(v Value) (reason string) {
		if v.kind != jsontext.KindTrue && v.kind != jsontext.KindFalse {
			return "must be true or false, not " + nameOf(v.kind)
		}
		*to = v.kind == jsontext.KindTrue
		return ""
	}
}
