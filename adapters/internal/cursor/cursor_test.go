package cursor_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/adapters/internal/cursor"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

func TestBefore(t *testing.T) {
	at := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	newest := cursor.Position{CreatedAt: at.Add(time.Millisecond), ID: "a"}
	higher := cursor.Position{CreatedAt: at, ID: "c"}
	lower := cursor.Position{CreatedAt: at, ID: "b"}
	sorted := []cursor.Position{newest, higher, lower}
	for i, p := range sorted {
		for j, q := range sorted {
			if got, want := p.Before(q), i < j; got != want {
				t.Errorf("%d before %d: %v, want %v", i, j, got, want)
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	want := cursor.Position{
		CreatedAt: time.Date(2026, 11, 23, 10, 0, 0, 123_000_000, time.UTC),
		ID:        "0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234",
	}
	got, err := cursor.Decode(cursor.Encode(want))
	if err != nil {
		f.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		f.Fatalf("position (-want +got):\n%s", diff)
	}
	f.Add(cursor.Encode(want))
	upper := cursor.Position{CreatedAt: want.CreatedAt, ID: domain.OrderID(strings.ToUpper(string(want.ID)))}
	for _, s := range []string{"", "x", "AAAA", "!!", cursor.Encode(want) + "A", cursor.Encode(upper)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := cursor.Decode(s)
		if err != nil {
			if !errors.Is(err, ports.ErrInvalidCursor) {
				t.Errorf("error %v does not wrap ErrInvalidCursor", err)
			}
			return
		}
		if again := cursor.Encode(p); again != s {
			t.Errorf("%q decodes to the position of %q", s, again)
		}
	})
}
