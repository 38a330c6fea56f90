package memory_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

func order(t testing.TB, n int) domain.Order {
	t.Helper()
	id := domain.OrderID(fmt.Sprintf("00000000-0000-4000-8000-%012d", n))
	order, err := domain.NewOrder(id, fmt.Sprint("user ", n%100), "Laptop", 1, time.UnixMilli(int64(n)))
	if err != nil {
		t.Fatal(err)
	}
	return order
}

func TestOrdersDefaultLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var orders memory.Orders
		if err := orders.Add(t.Context(), order(t, 1), domain.Origin{}); err != nil {
			t.Fatal(err)
		}
		claimed := func() int {
			events, err := orders.Claim(t.Context(), 10)
			if err != nil {
				t.Fatal(err)
			}
			return len(events)
		}
		time.Sleep(memory.DefaultOutboxLease - 1)
		if n := claimed(); n != 0 {
			t.Errorf("claimed %d events just before the lease's end, want none", n)
		}
		time.Sleep(time.Nanosecond)
		if n := claimed(); n != 1 {
			t.Errorf("claimed %d events at the lease's end, want one", n)
		}
	})
}

// Random calls give the same results as on a plain map from events to the times
// from which they are free.
func TestOutboxModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// rapid asks a *testing.T for its deadline, which has no meaning here.
		rapid.Check(struct{ rapid.TB }{t}, func(rt *rapid.T) {
			const lease = 10 * time.Second
			store := memory.Orders{Lease: lease}
			ctx := t.Context()
			kept := map[domain.OrderID]bool{}
			freeAt := map[domain.EventID]time.Time{}
			number := rapid.IntRange(1, 20)

			rt.Repeat(map[string]func(*rapid.T){
				"add": func(rt *rapid.T) {
					o := order(t, number.Draw(rt, "order"))
					err := store.Add(ctx, o, domain.Origin{})
					if kept[o.ID] != errors.Is(err, ports.ErrExists) || !kept[o.ID] && err != nil {
						rt.Fatalf("add %s, known: %v; error %v", o.ID, kept[o.ID], err)
					}
					if err == nil {
						kept[o.ID] = true
						freeAt[o.Created().ID] = time.Now().Add(lease)
					}
				},
				"claim": func(rt *rapid.T) {
					limit := rapid.IntRange(-1, 10).Draw(rt, "limit")
					got, err := store.Claim(ctx, limit)
					if err != nil {
						rt.Fatal(err)
					}
					free := 0
					for _, at := range freeAt {
						if !time.Now().Before(at) {
							free++
						}
					}
					if want := max(min(limit, free), 0); len(got) != want {
						rt.Fatalf("limit %d, %d free: claimed %d events, want %d", limit, free, len(got), want)
					}
					var last time.Time // when the last returned event became free
					for _, event := range got {
						at, ok := freeAt[event.ID]
						if !ok || time.Now().Before(at) {
							rt.Fatalf("claimed %s, which is not free", event.ID)
						}
						if at.Before(last) {
							rt.Fatalf("claimed %s after an event that became free later", event.ID)
						}
						last = at
						freeAt[event.ID] = time.Now().Add(lease)
					}
					for id, at := range freeAt {
						if len(got) > 0 && at.Before(last) {
							rt.Fatalf("did not claim %s, which became free before the last claimed event", id)
						}
					}
				},
				"mark": func(rt *rapid.T) {
					var ids []domain.EventID
					for _, n := range rapid.SliceOfN(number, 0, 3).Draw(rt, "orders") {
						id := order(t, n).Created().ID
						ids = append(ids, id)
						delete(freeAt, id)
					}
					if err := store.MarkPublished(ctx, ids...); err != nil {
						rt.Fatal(err)
					}
				},
				"pass time": func(rt *rapid.T) {
					time.Sleep(time.Duration(rapid.IntRange(1, 15).Draw(rt, "seconds")) * time.Second)
				},
			})
		})
	})
}

// The pages of List together hold every order once, newest first.
func TestListPagesHoldEveryOrder(t *testing.T) {
	var orders memory.Orders
	for i, n := range rand.Perm(3000) {
		if err := orders.Add(t.Context(), order(t, n), domain.Origin{}); err != nil {
			t.Fatalf("add number %d: %v", i, err)
		}
	}
	for _, user := range []string{"", "user 7"} {
		step, next := 1, 2999
		if user != "" {
			step, next = 100, 2907
		}
		query := ports.OrderQuery{UserID: user, Limit: 7}
		for {
			page, err := orders.List(t.Context(), query)
			if err != nil {
				t.Fatal(err)
			}
			for _, got := range page.Orders {
				if diff := cmp.Diff(order(t, next), got); diff != "" {
					t.Fatalf("order (-want +got):\n%s", diff)
				}
				next -= step
			}
			if query.Cursor = page.NextCursor; query.Cursor == "" {
				break
			}
		}
		if next >= 0 {
			t.Errorf("user %q: the last page ended before order %d", user, next)
		}
	}
}

// The cost of a call must not grow with the number of orders.
func BenchmarkOrders(b *testing.B) {
	for _, kept := range []int{1_000, 100_000} {
		b.Run(fmt.Sprint(kept), func(b *testing.B) {
			fill := func(b *testing.B) *memory.Orders {
				orders := &memory.Orders{Lease: time.Nanosecond}
				for _, n := range rand.Perm(kept) {
					if err := orders.Add(b.Context(), order(b, n), domain.Origin{}); err != nil {
						b.Fatal(err)
					}
				}
				return orders
			}
			b.Run("Add", func(b *testing.B) {
				orders, n := fill(b), kept
				for b.Loop() {
					n++
					if err := orders.Add(b.Context(), order(b, n), domain.Origin{}); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run("List", func(b *testing.B) {
				orders, query := fill(b), ports.OrderQuery{Limit: 20}
				for b.Loop() {
					page, err := orders.List(b.Context(), query)
					if err != nil {
						b.Fatal(err)
					}
					query.Cursor = page.NextCursor
				}
			})
			b.Run("Claim", func(b *testing.B) {
				orders := fill(b)
				for b.Loop() {
					if events, err := orders.Claim(b.Context(), 20); err != nil || len(events) != 20 {
						b.Fatalf("claimed %d events, error %v", len(events), err)
					}
				}
			})
		})
	}
}

// Release frees an event after MaxReleaseDelay at the latest, however far ahead
// the time is, with or without a monotonic clock reading.
func TestReleaseHasALatestTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		orders := new(memory.Orders)
		o := order(t, 1)
		if err := orders.Add(t.Context(), o, domain.Origin{}); err != nil {
			t.Fatal(err)
		}
		for _, until := range []time.Time{time.Now().Add(time.Hour), time.Now().Add(time.Hour).Round(0)} {
			if err := orders.Release(t.Context(), until, o.Created().ID); err != nil {
				t.Fatal(err)
			}
			time.Sleep(ports.MaxReleaseDelay - time.Nanosecond)
			if events, err := orders.Claim(t.Context(), 1); err != nil || len(events) > 0 {
				t.Errorf("claim just before %v: %d events, error %v; want none", ports.MaxReleaseDelay, len(events), err)
			}
			time.Sleep(time.Nanosecond)
			if events, err := orders.Claim(t.Context(), 1); err != nil || len(events) != 1 {
				t.Errorf("claim after %v: %d events, error %v; want one", ports.MaxReleaseDelay, len(events), err)
			}
		}
	})
}

// A lease of zero or less means the default.
func TestDefaultLeases(t *testing.T) {
	for _, unset := range []time.Duration{0, -1, -time.Hour} {
		if got := (&memory.Orders{Lease: unset}).ClaimLease(); got != memory.DefaultOutboxLease {
			t.Errorf("lease %v: a claim on an event lasts for %v, want %v", unset, got, memory.DefaultOutboxLease)
		}
		if got := (&memory.Deliveries{Lease: unset}).ClaimLease(); got != memory.DefaultDeliveryLease {
			t.Errorf("lease %v: a claim on a delivery lasts for %v, want %v", unset, got, memory.DefaultDeliveryLease)
		}
	}
}
