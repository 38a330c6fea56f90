package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// FuzzDecodeObject compares DecodeObject with encoding/json: both accept the same
// bodies as objects, and decode the same values. Only DecodeObject refuses a lone
// surrogate.
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
		want, isObject, faulty := fieldsOf(body)
		got := make(map[string]any)
		var fields []Field
		for name, to := range want {
			got[name] = reflect.New(reflect.TypeOf(to).Elem()).Interface()
			fields = append(fields, Field{Name: name, To: got[name]})
		}
		err := DecodeObject(body, "an object", fields...)
		var problem *Problem
		errors.As(err, &problem)
		switch {
		case !isObject || problem != nil && bytes.Contains(bytes.ToLower(body), []byte(`\ud`)):
			if problem == nil || problem.Status != http.StatusBadRequest {
				t.Errorf("%q: got %v, want it malformed", body, err)
			}
			return
		case faulty != (problem != nil && problem.Status == http.StatusUnprocessableEntity):
			t.Errorf("%q: got %v, want faults: %v", body, err, faulty)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("fields of %q (-want +got):\n%s", body, diff)
		}
	})
}

// fieldsOf returns pointers to the fields' values, as encoding/json decodes them. A
// body is faulty if a field is repeated or Field.To can't hold its value; then the
// value is zero.
func fieldsOf(body []byte) (fields map[string]any, isObject, faulty bool) {
	if !json.Valid(body) || !utf8.Valid(body) {
		return nil, false, false
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil, false, false
	}
	fields = make(map[string]any)
	for decoder.More() {
		token, err := decoder.Token()
		var raw json.RawMessage
		if err != nil || decoder.Decode(&raw) != nil {
			return nil, false, false
		}
		name := token.(string)
		if _, repeated := fields[name]; repeated {
			faulty = true
			continue
		}
		fields[name] = new(string)
		var elements []*string
		number, isNumber := new(int), strings.Trim(string(raw), "-0123456789") == ""
		switch {
		case raw[0] == '"', raw[0] == 't', raw[0] == 'f':
			if raw[0] != '"' {
				fields[name] = new(bool)
			}
			_ = json.Unmarshal(raw, fields[name])
		case isNumber:
			*number, _ = strconv.Atoi(string(raw)) // out of range: the nearest int
			fields[name] = number
		case raw[0] == '[' && json.Unmarshal(raw, &elements) == nil && !slices.Contains(elements, nil):
			var texts []string
			for _, element := range elements {
				texts = append(texts, *element)
			}
			fields[name] = &texts
		case raw[0] == '{':
			members, ok := membersOf(raw)
			if fields[name] = &members; !ok {
				fields[name], faulty = new(map[string]string), true
			}
		default:
			faulty = true
		}
	}
	return fields, true, faulty
}

// membersOf returns the members of an object, if it has at most 16, of different names,
// and all are strings.
func membersOf(raw json.RawMessage) (map[string]string, bool) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	_, _ = decoder.Token()
	members := make(map[string]string)
	for decoder.More() {
		name, _ := decoder.Token()
		var value any
		if err := decoder.Decode(&value); err != nil {
			return nil, false
		}
		text, isString := value.(string)
		if _, repeated := members[name.(string)]; repeated || !isString {
			return nil, false
		}
		members[name.(string)] = text
	}
	return members, len(members) <= maxMembers
}

func TestFieldOfMembers(t *testing.T) {
	many := strings.Repeat(`"a":"",`, maxMembers)
	for body, want := range map[string]string{
		`{"m":{}}`:                      "",
		`{"m":{"a":"x","b":""}}`:        "",
		`{"m":{"é.\u0000":"x"}}`:        "",
		`{"m":[]}`:                      "m must be an object of strings, not a list",
		`{"m":null}`:                    "m must be an object of strings, not null",
		`{"m":"x"}`:                     "m must be an object of strings, not a string",
		`{"m":{"a":1,"b":null}}`:        "m.a must be a string, not a number; m.b must be a string, not null",
		`{"m":{"a":{"a":"x"},"b":"y"}}`: "m.a must be a string, not an object",
		`{"m":{"a":["x"],"b":true}}`:    "m.a must be a string, not a list; m.b must be a string, not a boolean",
		`{"m":{"a":"x","a":"y"}}`:       "m.a is given more than once",
		`{"m":{"a":1,"a":2}}`:           "m.a must be a string, not a number; m.a is given more than once",
		`{"m":{},"m":{}}`:               "m is given more than once",
		`{"m":{` + many + `"b":""}}`:    "m must have at most 16 members; " + strings.Repeat("; m.a is given more than once", maxMembers-1)[2:],
	} {
		members := map[string]string{"before": ""}
		err := DecodeObject([]byte(body), "an object", Field{Name: "m", To: &members})
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", body, got, want)
		}
		if _, unchanged := members["before"]; unchanged != (want != "" && body != `{"m":{},"m":{}}`) {
			t.Errorf("%s: members are %v", body, members)
		}
	}
}

// Decoding a deeply nested body takes little memory.
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
				if err := DecodeObject([]byte(body), "an object", Field{Name: "a", To: new([]string)}); !errors.As(err, &problem) || problem.Status != http.StatusUnprocessableEntity {
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

// A list of short strings takes ten times the memory of its text, so it is kept only
// where a field takes it.
func TestListThatNoFieldTakes(t *testing.T) {
	for body, name := range map[string]string{
		`{"text":[` + strings.Repeat(`"ab",`, 13_000) + `""]}`:               "list for a text",
		`{"unknown":[` + strings.Repeat(`"ab",`, 13_000) + `""]}`:            "list for an unknown field",
		`{"text":{` + strings.Repeat(`"ab":"",`, 8_000) + `"":""}}`:          "object for a text",
		`{"members":{` + strings.Repeat(`"ab":"",`, 8_000) + `"":""}}`:       "object with too many members",
		`{"members":{"a":{` + strings.Repeat(`"ab":"",`, 8_000) + `"":""}}}`: "object for a member",
	} {
		t.Run(name, func(t *testing.T) {
			var problem *Problem
			allocations := testing.AllocsPerRun(1, func() {
				if err := DecodeObject([]byte(body), "an object", Field{Name: "text", Optional: true, To: new(string)}, Field{Name: "members", Optional: true, To: new(map[string]string)}); !errors.As(err, &problem) || problem.Status != http.StatusUnprocessableEntity {
					t.Errorf("got %v, want the field refused", err)
				}
			})
			if allocations > 100 {
				t.Errorf("%v allocations, want a few", allocations)
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
			Field{Name: "user_id", To: &user}, Field{Name: "product", To: &product}, Field{Name: "quantity", To: &quantity})
		if err != nil {
			b.Fatal(err)
		}
	}
}
