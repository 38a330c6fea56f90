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
	To       any // receives the value: a *string, *[]string, *int or *bool

	// Valid checks the value that To has received. If it reports false, the field's
	// fault is Must, such as "must not be empty". A nil Valid allows every value.
	Valid func() bool
	Must  string
}

// set sets the field to the value, or returns the value's fault.
func (f Field) set(v value) (reason string) {
	if reason = v.store(f.To); reason == "" && f.Valid != nil && !f.Valid() {
		return f.Must
	}
	return reason
}

func (f Field) name() string { return f.Name }

// DecodeObject decodes a body that was read already; see [ReadObject].
func DecodeObject(body []byte, what string, fields ...Field) error {
	// The decoder allows duplicate names, so that they are listed with other faults.
	d := jsontext.NewDecoder(bytes.NewBuffer(body), jsontext.AllowDuplicateNames(true))
	if kind := d.PeekKind(); kind != jsontext.KindBeginObject && kind != jsontext.KindInvalid {
		return Malformed("the body must be a JSON object, not " + kindName(kind))
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
		i := slices.IndexFunc(fields, func(field Field) bool { return field.Name == name })
		isList := false
		if i >= 0 {
			_, isList = fields[i].To.(*[]string)
		}
		v, err := readValue(d, isList)
		if err != nil {
			return notJSON(err, shown(name))
		}
		switch {
		case i < 0:
			addUnknown(&f, name, fields, Field.name, "a field of ", what)
		case seen[i]:
			f.add(name, "is given more than once")
		default:
			seen[i] = true
			f.add(name, fields[i].set(v))
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

// value is a field's value.
type value struct {
	kind        jsontext.Kind
	text        string   // of a string, number or literal
	strings     []string // of an array that a field takes, up to the first other element
	onlyStrings bool     // it is an array of nothing else
}

// readValue reads the next value. It keeps an array's strings only if the field is a
// list: many short ones take over ten times the memory of the body. It does not
// recurse: a deeply nested value would make the goroutine's stack grow by megabytes.
func readValue(d *jsontext.Decoder, isList bool) (value, error) {
	token, err := d.ReadToken()
	if err != nil {
		return value{}, err
	}
	v := value{kind: token.Kind()}
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
		if v.onlyStrings && isList {
			v.strings = append(v.strings, token.String())
		}
	}
}

// store stores the value in to, or returns the value's fault. A whole number beyond
// an int's range becomes the nearest int.
func (v value) store(to any) (reason string) {
	switch to := to.(type) {
	case *string:
		if v.kind != jsontext.KindString {
			return "must be a string, not " + kindName(v.kind)
		}
		*to = v.text
	case *[]string:
		if !v.onlyStrings {
			return "must be a list of strings"
		}
		*to = v.strings
	case *int:
		if v.kind != jsontext.KindNumber {
			return "must be a whole number, not " + kindName(v.kind)
		}
		n, err := strconv.Atoi(v.text)
		if err != nil && !errors.Is(err, strconv.ErrRange) {
			return "must be a whole number, without fraction or exponent"
		}
		*to = n
	case *bool:
		if v.kind != jsontext.KindTrue && v.kind != jsontext.KindFalse {
			return "must be true or false, not " + kindName(v.kind)
		}
		*to = v.kind == jsontext.KindTrue
	default:
		panic(fmt.Sprintf("httpapi: a field can't be a %T", to))
	}
	return ""
}

func kindName(kind jsontext.Kind) string {
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
