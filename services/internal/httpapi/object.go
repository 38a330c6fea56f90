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
	To       any // receives the value: a *string, *[]string, *int, *bool, or *map[string]string of at most 16 members

	// Valid checks the value that To has received. If it reports false, the field's
	// fault is Must, such as "must not be empty". A nil Valid allows every value.
	Valid func() bool
	Must  string
}

// set sets the field to the value, or adds the value's faults.
func (f Field) set(v value, to *faults) {
	if members, ok := f.To.(*map[string]string); ok && v.kind == jsontext.KindBeginObject {
		v.storeMembers(members, f.Name, to)
		return
	}
	reason := v.store(f.To)
	if reason == "" && f.Valid != nil && !f.Valid() {
		reason = f.Must
	}
	to.add(f.Name, reason)
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
		var to any
		if i >= 0 {
			to = fields[i].To
		}
		v, err := readValue(d, to)
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
			fields[i].set(v, &f)
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
	members     []member // of an object that a field takes, the first maxMembers
	more        bool     // the object has more members
}

// member is a member of an object, with its fault, if any.
type member struct{ name, text, reason string }

const maxMembers = 16

// readValue reads the next value. It keeps an array's strings and an object's members
// only if to takes them: many short ones take over ten times the memory of the body.
// It does not recurse: a deeply nested value would make the goroutine's stack grow by
// megabytes.
func readValue(d *jsontext.Decoder, to any) (value, error) {
	_, isList := to.(*[]string)
	_, isMap := to.(*map[string]string)
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
	isMap = isMap && v.kind == jsontext.KindBeginObject
	isName := true // the next token of the object
	for depth := d.StackDepth(); ; {
		token, err := d.ReadToken()
		if err != nil || d.StackDepth() < depth {
			return v, err
		}
		v.onlyStrings = v.onlyStrings && token.Kind() == jsontext.KindString
		if v.onlyStrings && isList {
			v.strings = append(v.strings, token.String())
		}
		if !isMap || d.StackDepth() > depth {
			continue
		}
		switch {
		case isName:
			v.addMember(token)
		case !v.more: // a string or literal, or the end of another value
			v.members[len(v.members)-1].set(token)
		}
		isName = !isName
	}
}

// addMember adds a member with the name, whose value comes next.
func (v *value) addMember(name jsontext.Token) {
	if len(v.members) == maxMembers {
		v.more = true
		return
	}
	m := member{name: name.String()}
	if slices.ContainsFunc(v.members, func(other member) bool { return other.name == m.name }) {
		m.reason = "is given more than once"
	}
	v.members = append(v.members, m)
}

func (m *member) set(value jsontext.Token) {
	switch {
	case value.Kind() == jsontext.KindString:
		m.text = value.String()
	case m.reason == "":
		m.reason = "must be a string, not " + kindName(value.Kind())
	}
}

// storeMembers stores the members of the object in a field, or adds their faults.
func (v value) storeMembers(in *map[string]string, field string, to *faults) {
	members, faulty := make(map[string]string, len(v.members)), v.more
	if v.more {
		to.add(field, fmt.Sprintf("must have at most %d members", maxMembers))
	}
	for _, m := range v.members {
		to.add(field+"."+m.name, m.reason)
		members[m.name], faulty = m.text, faulty || m.reason != ""
	}
	if !faulty {
		*in = members
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
	case *map[string]string:
		return "must be an object of strings, not " + kindName(v.kind)
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
	case jsontext.KindBeginObject, jsontext.KindEndObject:
		return "an object"
	case jsontext.KindBeginArray, jsontext.KindEndArray:
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
