package cursor_test

import (
	"cmp"
	"errors"
	"testing"
	"time"

	"example.com/orderflow/adapters/internal/cursor"
	"example.com/orderflow/ports"
)

func TestCompareLetters(t *testing.T) {
	at := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	sorted := []cursor.Letter{
		{Since: at.Add(-time.Millisecond), ID: "z"},
		{Since: at, ID: "B"},
		{Since: at, ID: "a"},
		{Since: at.Add(time.Millisecond), ID: ""},
	}
	for i, l := range sorted {
		for j, m := range sorted {
			if got, want := l.Compare(m), cmp.Compare(i, j); got != want {
				t.Errorf("%d compared to %d: %d, want %d", i, j, got, want)
			}
		}
	}
}

func FuzzDecodeLetter(f *testing.F) {
	at := time.Date(2026, 11, 23, 10, 0, 0, 123_000_000, time.UTC)
	order := cursor.Encode(cursor.Position{CreatedAt: at, ID: "0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234"}, ports.OrderQuery{})
	for _, s := range []string{"", "x", "AAAA", "AAAAAAAAAAAAAAAA", "!!", order} {
		if _, err := cursor.DecodeLetter(s); !errors.Is(err, ports.ErrInvalidCursor) {
			f.Errorf("cursor %q: got error %v, want ErrInvalidCursor", s, err)
		}
		f.Add(s)
	}
	for _, want := range []cursor.Letter{{Since: at, ID: "letter"}, {Since: at.AddDate(-100, 0, 0)}, {Since: at, ID: "\xff"}} {
		s := cursor.EncodeLetter(want)
		got, err := cursor.DecodeLetter(s)
		if err != nil || got != want {
			f.Errorf("got %+v, error %v; want %+v", got, err, want)
		}
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := cursor.DecodeLetter(s)
		if err != nil {
			if !errors.Is(err, ports.ErrInvalidCursor) {
				t.Errorf("error %v does not wrap ErrInvalidCursor", err)
			}
			return
		}
		if again := cursor.EncodeLetter(l); again != s {
			t.Errorf("%q decodes to the place of %q", s, again)
		}
	})
}
