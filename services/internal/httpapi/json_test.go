package httpapi

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

type member struct {
	Name  string
	Value string
}

// byTokens takes a valid object apart by the decoder of encoding/json.
func byTokens(t *testing.T, object []byte) (all []member) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(object))
	if _, err := decoder.Token(); err != nil {
		t.Fatal(err)
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			t.Fatal(err)
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			t.Fatal(err)
		}
		all = append(all, member{name.(string), string(value)})
	}
	return all
}

// Objects fall into the same parts as for encoding/json.
func FuzzMembers(f *testing.F) {
	for _, seed := range []string{
		`{}`, ` { } `, `{"a":1}`, `{"user_id":"123","product":"Laptop","quantity":1}`,
		"\t{\r\n\"a\" : -1.5e+3 , \"b\":null,\"c\" :true\n}\n", `{"":"","a":"}","b":"{","c":"\"","d":"\\","e":"\\\""}`,
		`{"a":{"b":[1,{"c":"]"}],"d":{}},"e":[[],[]],"f":[]}`, `{"a\u00e9\ud83d\ude00":"\u0000"}`, `{"é😀":"é😀"}`,
		`{"a":1,"a":2}`, `{"a":"\ud800"}`, `[1]`, `{"a":1}x`, `{"a":1`, "{\"\xff\":1}", "{\"a\":\"\xff\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if !json.Valid(body) || !isObject(body) || !utf8.Valid(body) {
			return
		}
		var got []member
		for name, value := range members(body) {
			got = append(got, member{name, string(value)})
		}
		want := byTokens(t, body)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("members of %q (-want +got):\n%s", body, diff)
		}
		for _, m := range want {
			var text string
			if json.Unmarshal([]byte(m.Value), &text) == nil && m.Value[0] == '"' && unquote([]byte(m.Value)) != text {
				t.Errorf("%s stands for %q, want %q", m.Value, unquote([]byte(m.Value)), text)
			}
		}
	})
}

func TestMembersStopWhenTold(t *testing.T) {
	for name := range members([]byte(`{"a":1,"b":2}`)) {
		if name != "a" {
			t.Errorf("went on to %q", name)
		}
		break
	}
}

// What it costs to read an order, and what it would by the decoder's tokens.
func BenchmarkDecodeObject(b *testing.B) {
	order := []byte(`{"user_id":"123","product":"Laptop","quantity":1}`)
	b.Run("members", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var user, product string
			var quantity int
			err := DecodeObject(order, "an order",
				Field{Name: "user_id", Set: Text(&user)}, Field{Name: "product", Set: Text(&product)}, Field{Name: "quantity", Set: Whole(&quantity)})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("tokens alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = whyNoObject(order) // goes over all of them
		}
	})
}
