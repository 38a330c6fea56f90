package porttest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/domain"
)

const (
	patience = 30 * time.Second       // how long what must happen may take
	quiet    = 300 * time.Millisecond // how long is watched for what must not happen
	tick     = 10 * time.Millisecond  // how often is looked, at first
)

// bounded returns a context for a clause's calls, so that an adapter that
// hangs ends the clause and not the whole run.
func bounded(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits until done reports true.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	pause := tick
	for end := time.Now().Add(patience); !done(); time.Sleep(pause) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
		pause = min(pause*5/4, 10*tick)
	}
}

// withinLease calls try until it gets by within a lease, as counted from the
// moment that try returns, and fails t with the fault that it found. What a
// slow machine saw later than that proves nothing, for the claim may have run
// out: then try goes again, on fresh things that it tells apart by round.
func withinLease(t testing.TB, lease time.Duration, try func(round int) (claimed time.Time, fault string)) {
	t.Helper()
	end := time.Now().Add(patience)
	for round := 1; round == 1 || time.Now().Before(end); round++ {
		claimed, fault := try(round)
		if time.Since(claimed) > lease*9/10 {
			continue
		}
		if fault != "" {
			t.Fatal(fault)
		}
		return
	}
	t.Fatalf("nothing got by within the lease of %v: this machine needs a longer one", lease)
}

// waitOut lets every claim of this moment run out. No clause relies on it to be
// long enough: one that is too short hides a fault, and makes none.
func waitOut(lease time.Duration) { time.Sleep(lease + lease/5) }

// together calls f with 0 to n-1, all at once, and waits for them.
func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	wg.Wait()
}

// checkEnded fails t unless call, with a context that has ended, returns an
// error that wraps the context's.
func checkEnded(t testing.TB, what string, call func(ctx context.Context) error) {
	t.Helper()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	for _, ctx := range []context.Context{cancelled, late} {
		if err := call(ctx); !errors.Is(err, ctx.Err()) {
			t.Errorf("%s with an ended context: error %v, want one that wraps %q", what, err, ctx.Err())
		}
	}
}

// checkError fails t unless err wraps want and names what was attempted.
func checkError(t testing.TB, what string, err, want error, names string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want one that wraps %q", what, err, want)
	} else if !strings.Contains(err.Error(), names) {
		t.Errorf("%s: error %q does not name %s", what, err, names)
	}
}

func checkOrder(t testing.TB, want, got domain.Order) {
	t.Helper()
	if got == want {
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	} else {
		t.Errorf("order %s: created at %v, want it in UTC", got.ID, got.CreatedAt)
	}
}

func checkEvent(t testing.TB, want, got domain.Event) {
	t.Helper()
	if got == want {
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	} else {
		t.Errorf("event %s: times %v and %v, want them in UTC", got.ID, got.Time, got.Order.CreatedAt)
	}
}

var epoch = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

// orderID returns the id of the nth order; ids do not sort as their numbers.
func orderID(n int) domain.OrderID {
	h := sha256.Sum256([]byte(strconv.Itoa(n)))
	x := fmt.Sprintf("%x", h[:16])
	return domain.OrderID(x[:8] + "-" + x[8:12] + "-8" + x[13:16] + "-8" + x[17:20] + "-" + x[20:])
}

// order returns the nth order, created n seconds after the epoch.
func order(t testing.TB, n int) domain.Order {
	t.Helper()
	return newOrder(t, n, "user", "product "+strconv.Itoa(n), n%domain.MaxQuantity+1, epoch.Add(time.Duration(n)*time.Second))
}

// orders returns count orders from the nth on.
func orders(t testing.TB, n, count int) []domain.Order {
	t.Helper()
	list := make([]domain.Order, count)
	for i := range list {
		list[i] = order(t, n+i)
	}
	return list
}

// events returns the events of count orders from the nth on.
func events(t testing.TB, n, count int) []domain.Event {
	t.Helper()
	return created(orders(t, n, count))
}

func created(orders []domain.Order) []domain.Event {
	list := make([]domain.Event, len(orders))
	for i, order := range orders {
		list[i] = order.Created()
	}
	return list
}

func eventIDs(events []domain.Event) []domain.EventID {
	ids := make([]domain.EventID, len(events))
	for i, event := range events {
		ids[i] = event.ID
	}
	return ids
}

// hardOrders returns orders that keep the domain's rules and are easy to spoil
// on the way into a server and back.
func hardOrders(t testing.TB) []domain.Order {
	t.Helper()
	at := func(s string) time.Time {
		at, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	return []domain.Order{
		newOrder(t, 1, "u", "p", 1, epoch),
		newOrder(t, 2, strings.Repeat("ü", domain.MaxUserID), strings.Repeat("界", domain.MaxProduct), domain.MaxQuantity, epoch),
		newOrder(t, 3, `{"$gt":""}`, `<b>&amp;</b> "quoted" \n 'single' {{.}} %s $1`, 2, epoch),
		newOrder(t, 4, " a.b$c ", "  -  ", 3, epoch),
		newOrder(t, 5, "e\u0301", "\u00e9 \U0001F6D2 \u200f\u2028", 4, epoch), // not to be normalised
		newOrder(t, 6, "0123", "1e3", 5, epoch),
		newOrder(t, 7, "null", "true", 6, at("2026-11-23T10:00:00.999Z")),
		newOrder(t, 8, "late", "far from now", 7, at("2300-01-01T00:00:00.001Z")),
		newOrder(t, 9, "early", "before 1970", 8, at("1969-12-31T23:59:59.999Z")),
	}
}

func newOrder(t testing.TB, n int, user, product string, quantity int, at time.Time) domain.Order {
	t.Helper()
	order, err := domain.NewOrder(orderID(n), user, product, quantity, at)
	if err != nil {
		t.Fatal(err)
	}
	return order
}
