package httpapi

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestEscapeControls(t *testing.T) {
	for given, want := range map[string]string{
		``:                                      ``,
		`{"a":"é界\u0001 \u00a0"}`:               `{"a":"é界\u0001 \u00a0"}`,
		"\"a\u007f\u0080\u009b2J\u009f\u00a0\"": `"a\u007f\u0080\u009b2J\u009f` + "\u00a0\"",
		"{\"\u0085\":\"\u009d\"}":               `{"\u0085":"\u009d"}`,
	} {
		if diff := cmp.Diff(want, string(EscapeControls([]byte(given)))); diff != "" {
			t.Errorf("%q (-want +got):\n%s", given, diff)
		}
	}
}

// Escaped JSON decodes to the same text, and contains no control character.
func FuzzEscapeControls(f *testing.F) {
	f.Add("a\u007f\u009b\\\u0085")
	f.Add("\xc2\x9b\xc2")
	f.Fuzz(func(t *testing.T, text string) {
		encoded, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		escaped := EscapeControls(bytes.Clone(encoded))
		if !utf8.Valid(escaped) || bytes.ContainsFunc(escaped, unicode.IsControl) {
			t.Errorf("%q is escaped as %q", text, escaped)
		}
		var before, after string
		if err := json.Unmarshal(encoded, &before); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(escaped, &after); err != nil || before != after {
			t.Errorf("%q decodes to %q, error %v", before, after, err)
		}
	})
}
