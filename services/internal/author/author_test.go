package author

import (
	"strings"
	"testing"
)

func TestClean(t *testing.T) {
	longest := strings.Repeat("界", 128)
	for name, want := range map[string]string{
		"ann@desk":      "ann@desk",
		" ann \n":       "ann",
		"a\x00n\u200bn": "ann",
		"\xffann":       "ann",
		longest + "x":   longest,
		"":              "unknown",
		" ":             "unknown",
	} {
		if got := Clean(name); got != want {
			t.Errorf("Clean(%q) is %q, want %q", name, got, want)
		}
		if got := IsClean(name); got != (name == want) {
			t.Errorf("IsClean(%q) is %v", name, got)
		}
	}
}
