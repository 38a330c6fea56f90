package memory

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"example.com/orderflow/ports"
)

func failedAt(id string, at time.Time) ports.DeadLetter {
	return ports.DeadLetter{ID: id, Failure: ports.Failure{Reason: "no", Attempts: 1, FirstFailure: at, LastFailure: at}}
}

func TestDeadLettersDefaultRetention(t *testing.T) {
	for _, unset := range []time.Duration{0, -1} {
		t.Run(unset.String(), func(t *testing.T) { checkDefaultRetention(t, unset) })
	}
}

func checkDefaultRetention(t *testing.T, unset time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		letters := DeadLetters{Retention: unset}
		if err := letters.Put(t.Context(), failedAt("a", now())); err != nil {
			t.Fatal(err)
		}
		letter, err := letters.Get(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		if err := letters.Settle(t.Context(), letter, ports.Discarded, "me"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(ports.DeadLetterRetention - 1)
		if _, err := letters.Get(t.Context(), "a"); err != nil {
			t.Errorf("get just before the retention's end: %v", err)
		}
		time.Sleep(time.Nanosecond)
		if _, err := letters.Get(t.Context(), "a"); !errors.Is(err, ports.ErrNotFound) {
			t.Errorf("get at the retention's end: got %v, want ErrNotFound", err)
		}
	})
}

// Random calls give the same results as on a plain list of records. The store
// deletes the records whose retention is over.
func TestDeadLettersModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// rapid asks a *testing.T for its deadline, which has no meaning here.
		rapid.Check(struct{ rapid.TB }{t}, func(rt *rapid.T) {
			letters := DeadLetters{Retention: 10 * time.Second}
			ctx := t.Context()
			var kept []ports.DeadLetterRecord
			forget := func() {
				kept = slices.DeleteFunc(kept, func(r ports.DeadLetterRecord) bool {
					return r.State != ports.Waiting && time.Since(r.SettledAt) >= letters.Retention
				})
			}
			begin := now()
			ids := rapid.IntRange(1, 8)
			seconds := rapid.IntRange(0, 20)
			state := rapid.SampledFrom([]ports.DeadLetterState{ports.Waiting, ports.Replayed, ports.Discarded})

			rt.Repeat(map[string]func(*rapid.T){
				"put": func(rt *rapid.T) {
					letter := failedAt(fmt.Sprint(ids.Draw(rt, "id")), begin.Add(time.Duration(seconds.Draw(rt, "failed"))*time.Second))
					if err := letters.Put(ctx, letter); err != nil {
						rt.Fatal(err)
					}
					forget()
					i := slices.IndexFunc(kept, func(r ports.DeadLetterRecord) bool { return r.ID == letter.ID })
					if i < 0 {
						kept = append(kept, ports.DeadLetterRecord{
							ID: letter.ID, Failures: []ports.Failure{letter.Failure}, State: ports.Waiting, Since: letter.Failure.FirstFailure,
						})
					} else if !slices.Contains(kept[i].Failures, letter.Failure) {
						kept[i].Failures = append(kept[i].Failures, letter.Failure)
						slices.SortFunc(kept[i].Failures, func(a, b ports.Failure) int { return a.LastFailure.Compare(b.LastFailure) })
						kept[i].State, kept[i].SettledAt, kept[i].SettledBy = ports.Waiting, time.Time{}, ""
					}
					waiting := 0
					for _, l := range kept {
						if l.State == ports.Waiting {
							waiting++
						}
					}
					if len(letters.byID) != len(kept) || len(letters.sorted) != len(kept) || len(letters.settled) != len(kept)-waiting {
						rt.Fatalf("byID, sorted and settled have %d, %d and %d records; want %d, of which %d are settled",
							len(letters.byID), len(letters.sorted), len(letters.settled), len(kept), len(kept)-waiting)
					}
				},
				"settle": func(rt *rapid.T) {
					forget()
					if len(kept) == 0 {
						return
					}
					letter := &kept[rapid.IntRange(0, len(kept)-1).Draw(rt, "letter")]
					to := state.Draw(rt, "state")
					if to == letter.State {
						return
					}
					if err := letters.Settle(ctx, *letter, to, "me"); err != nil {
						rt.Fatal(err)
					}
					letter.State, letter.SettledAt, letter.SettledBy = to, now(), "me"
					if to == ports.Waiting {
						letter.SettledAt, letter.SettledBy = time.Time{}, ""
					}
				},
				"list": func(rt *rapid.T) {
					forget()
					slices.SortFunc(kept, func(a, b ports.DeadLetterRecord) int {
						if c := a.Since.Compare(b.Since); c != 0 {
							return c
						}
						return strings.Compare(a.ID, b.ID)
					})
					query := ports.DeadLetterQuery{State: state.Draw(rt, "state"), Limit: rapid.IntRange(1, 5).Draw(rt, "limit")}
					var want, got []ports.DeadLetterRecord
					for _, l := range kept {
						if l.State == query.State {
							want = append(want, l)
						}
					}
					for {
						page, err := letters.List(ctx, query)
						if err != nil {
							rt.Fatal(err)
						}
						got = append(got, page.Records...)
						if query.Cursor = page.NextCursor; query.Cursor == "" {
							break
						}
					}
					if diff := cmp.Diff(want, got); diff != "" {
						rt.Fatalf("list of state %s (-want +got):\n%s", query.State, diff)
					}
				},
				"pass time": func(rt *rapid.T) {
					time.Sleep(time.Duration(rapid.IntRange(1, 6).Draw(rt, "seconds")) * time.Second)
				},
			})
		})
	})
}

// The cost of a call must not grow with the number of records.
func BenchmarkDeadLetters(b *testing.B) {
	for _, count := range []int{1_000, 100_000} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			var letters DeadLetters
			n := 0
			put := func() {
				n++
				if err := letters.Put(b.Context(), failedAt(fmt.Sprint(n), time.UnixMilli(int64(n)).UTC())); err != nil {
					b.Fatal(err)
				}
			}
			for range count {
				put()
			}
			b.Run("Put", func(b *testing.B) {
				for b.Loop() {
					put()
				}
			})
			b.Run("List", func(b *testing.B) {
				query := ports.DeadLetterQuery{State: ports.Waiting, Limit: 20}
				for b.Loop() {
					page, err := letters.List(b.Context(), query)
					if err != nil {
						b.Fatal(err)
					}
					query.Cursor = page.NextCursor
				}
			})
		})
	}
}
