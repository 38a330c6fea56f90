package cursor_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"example.com/orderflow/adapters/internal/cursor"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

func TestBefore(t *testing.T) {
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

var (
	at      = time.Date(2026, 11, 23, 10, 0, 0, 123_000_000, time.UTC)
	queries = []ports.OrderQuery{
		{}, {UserID: "ann"}, {UserID: "bob"}, {CreatedFrom: at}, {CreatedTo: at}, {CreatedFrom: at, CreatedTo: at.Add(time.Hour)},
		{UserID: "ann", CreatedFrom: at}, {CreatedFrom: at.Add(1)}, {CreatedFrom: at.AddDate(600, 0, 0)},
	}
)

// A cursor continues the query that it was made for, whatever its limit, and no other.
func TestCursorOfAnotherQuery(t *testing.T) {
	want := cursor.Position{CreatedAt: at, ID: "0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234"}
	for i, query := range queries {
		for j, other := range queries {
			other.Limit, other.Cursor = 7, cursor.Encode(want, query)
			got, ok, err := cursor.Start(other)
			switch {
			case i != j:
				if !errors.Is(err, ports.ErrInvalidCursor) || ok {
					t.Errorf("%+v takes the cursor of %+v: %v", other, query, err)
				}
			case err != nil || !ok || got != want:
				t.Errorf("%+v does not take its own cursor: %v, %v, %v", query, got, ok, err)
			}
		}
	}
}

// Without a cursor a page begins before the end of the period.
func TestStart(t *testing.T) {
	if p, ok, err := cursor.Start(ports.OrderQuery{CreatedFrom: at}); ok || err != nil {
		t.Errorf("a query without an end begins after %v, error %v", p, err)
	}
	p, ok, err := cursor.Start(ports.OrderQuery{CreatedTo: at.Add(1)})
	if err != nil || !ok {
		t.Fatalf("%v, %v", ok, err)
	}
	before := cursor.Position{CreatedAt: at, ID: "f"}
	after := cursor.Position{CreatedAt: at.Add(time.Millisecond), ID: "0"}
	if !p.Before(before) || p.Before(after) {
		t.Errorf("the page begins after %v, so it lacks %v or has %v", p, before, after)
	}
}

func FuzzStart(f *testing.F) {
	want := cursor.Position{CreatedAt: at, ID: "0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234"}
	upper := cursor.Position{CreatedAt: at, ID: domain.OrderID(strings.ToUpper(string(want.ID)))}
	all := ports.OrderQuery{}
	for _, s := range []string{"x", "AAAA", "!!", cursor.Encode(want, all), cursor.Encode(want, all) + "A", cursor.Encode(upper, all), cursor.Encode(want, queries[1])} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, query := range queries[:2] {
			query.Cursor = s
			p, ok, err := cursor.Start(query)
			if err != nil {
				if !errors.Is(err, ports.ErrInvalidCursor) || ok {
					t.Errorf("error %v does not wrap ErrInvalidCursor", err)
				}
				continue
			}
			if again := cursor.Encode(p, query); s != "" && again != s {
				t.Errorf("%q decodes to the position of %q", s, again)
			}
		}
	})
}
