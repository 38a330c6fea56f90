package memory

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/adapters/internal/cursor"
	"example.com/orderflow/domain"
)

// In whatever order positions are added, each page after a position is sorted.
func TestTimeline(t *testing.T) {
	epoch := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	arrivals := map[string]func(i int) time.Duration{
		"newest last":  func(i int) time.Duration { return time.Duration(i) },
		"newest first": func(i int) time.Duration { return -time.Duration(i) },
		"all at once":  func(int) time.Duration { return 0 },
		"in no order":  func(int) time.Duration { return time.Duration(rand.IntN(500)) },
	}
	for name, at := range arrivals {
		t.Run(name, func(t *testing.T) {
			const count = 5 * maxRun
			var line timeline
			var want []cursor.Position
			for i := range count {
				id := domain.OrderID(rune('a' + rand.IntN(26)))
				p := cursor.Position{CreatedAt: epoch.Add(at(i) * time.Millisecond), ID: id + domain.OrderID(rune(i))}
				line.add(p)
				want = append(want, p)
			}
			slices.SortFunc(want, func(p, q cursor.Position) int {
				if p.Before(q) {
					return -1
				}
				return 1
			})
			if diff := cmp.Diff(want, line.page(nil, count+1)); diff != "" {
				t.Fatalf("positions (-want +got):\n%s", diff)
			}
			for range 100 {
				i, limit := rand.IntN(count), rand.IntN(2*maxRun)
				rest := want[i+1:]
				if got := line.page(&want[i], limit); !slices.Equal(rest[:min(limit, len(rest))], got) {
					t.Errorf("page of %d positions after number %d: got %d other positions", limit, i, len(got))
				}
			}
			for r, run := range line.runs {
				if len(run) == 0 || len(run) > maxRun {
					t.Errorf("run %d has %d positions, want 1 to %d", r, len(run), maxRun)
				}
			}
		})
	}
}

func TestEmptyTimeline(t *testing.T) {
	for _, line := range []*timeline{nil, new(timeline)} {
		if got := line.page(nil, 10); len(got) > 0 {
			t.Errorf("got %d positions, want none", len(got))
		}
	}
	if got := new(timeline).page(&cursor.Position{ID: "a"}, 10); len(got) > 0 {
		t.Errorf("got %d positions after one, want none", len(got))
	}
}
