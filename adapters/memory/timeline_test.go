package memory

import (
	"iter"
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
			var line timeline[cursor.Position]
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
			check := func() {
				t.Helper()
				if diff := cmp.Diff(want, slices.Collect(line.all())); diff != "" {
					t.Fatalf("positions (-want +got):\n%s", diff)
				}
				reversed := slices.Clone(want)
				slices.Reverse(reversed)
				if diff := cmp.Diff(reversed, slices.Collect(line.backward())); diff != "" {
					t.Fatalf("positions in reverse (-want +got):\n%s", diff)
				}
				for range 100 {
					i := rand.IntN(len(want))
					if got := slices.Collect(line.after(want[i])); !slices.Equal(want[i+1:], got) {
						t.Errorf("after number %d of %d: got %d other positions", i, len(want), len(got))
					}
					if got := slices.Collect(line.before(want[i])); !slices.Equal(reversed[len(want)-i:], got) {
						t.Errorf("before number %d of %d: got %d other positions", i, len(want), len(got))
					}
				}
				for r, run := range line.runs {
					if len(run) == 0 || len(run) > maxRun {
						t.Errorf("run %d has %d positions, want 1 to %d", r, len(run), maxRun)
					}
				}
			}
			check()
			for range count * 3 / 4 {
				i := rand.IntN(len(want))
				gone := want[i]
				want = slices.Delete(want, i, i+1)
				line.remove(gone)
				line.remove(gone) // a second time changes nothing
				for next := range line.after(gone) {
					if next != want[i] {
						t.Fatalf("after a removed position: got %v, want %v", next, want[i])
					}
					break
				}
			}
			check()
		})
	}
}

func TestEmptyTimeline(t *testing.T) {
	p := cursor.Position{ID: "a"}
	emptied := new(timeline[cursor.Position])
	emptied.add(p)
	emptied.remove(p)
	for _, line := range []*timeline[cursor.Position]{nil, new(timeline[cursor.Position]), emptied} {
		line.remove(p)
		if !line.empty() {
			t.Error("an empty timeline is not empty")
		}
		for _, places := range []iter.Seq[cursor.Position]{line.all(), line.backward(), line.after(p), line.before(p)} {
			for got := range places {
				t.Errorf("got %v, want nothing", got)
			}
		}
	}
}
