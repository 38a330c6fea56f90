package records_test

import (
	"strings"
	"testing"

	"example.com/orderflow/adapters/internal/records"
)

func TestCutText(t *testing.T) {
	for _, tt := range []struct {
		text string
		size int
		want string
	}{
		{"", 3, ""},
		{"abc", 3, "abc"},
		{"abcd", 3, "abc"},
		{"aé", 2, "a"},
		{"é", 2, "é"},
		{"a\xff", 4, "a\uFFFD"},
		{"a\xff", 3, "a"},
	} {
		if got := records.CutText(tt.text, tt.size); got != tt.want {
			t.Errorf("CutText(%q, %d) is %q, want %q", tt.text, tt.size, got, tt.want)
		}
	}
}

func TestShortID(t *testing.T) {
	long := strings.Repeat("é", 101)
	for id, want := range map[string]string{"id": "id", long[:200]: long[:200], long: long[:200] + "…", "a" + long: "a" + long[:198] + "…"} {
		if got := records.ShortID(id); got != want {
			t.Errorf("ShortID(%q) is %q, want %q", id, got, want)
		}
	}
}
