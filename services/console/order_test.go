package console_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/console"
)

// way returns the order's way.
func (w *world) way(n int) (way console.WayView) {
	w.t.Helper()
	status, body := get(w.console(), "/console/orders/"+string(newOrder(n).ID))
	if err := json.Unmarshal([]byte(body), &way); err != nil || status != 200 {
		w.t.Fatalf("answered %d %s", status, body)
	}
	return way
}

func TestOrderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		start := time.Now()
		at := func(d time.Duration) time.Time { return domain.TruncateTime(start.Add(d)) }
		text := func(d time.Duration) string { return at(d).UTC().Format("2006-01-02T15:04:05.000Z") }
		if err := w.store.Orders().Add(t.Context(), newOrder(1), domain.Origin{}); err != nil {
			t.Fatal(err)
		}
		placed := []console.StepView{
			{At: text(0), Kind: console.Placed, Text: "user ann"}, {Kind: console.Stored, Text: "the order is on disk, with its event"},
		}
		check := func(want ...console.StepView) {
			t.Helper()
			way := w.way(1)
			if diff := cmp.Diff(append(placed[:2:2], want...), way.Timeline, cmp.Comparer(func(a, b console.StepView) bool {
				x, _ := json.Marshal(a)
				y, _ := json.Marshal(b)
				return string(x) == string(y)
			})); diff != "" {
				t.Errorf("timeline (-want +got):\n%s", diff)
			}
		}
		check(console.StepView{Kind: console.State, Outcome: "waiting", Text: "the event waits in the outbox"})

		o := newOrder(1)
		if err := errors.Join(errors.Join(w.broker.Publisher().Publish(t.Context(), o.Created())...), w.store.Orders().MarkPublished(t.Context(), o.Created().ID)); err != nil {
			t.Fatal(err)
		}
		published := console.StepView{Kind: console.Published, Text: "the broker has the event"}
		check(published, console.StepView{Kind: console.State, Channel: "mail", Recipient: "user", Outcome: "queued"})

		ms := func(n int64) *int64 { return &n }
		w.record(1, domain.Notification{
			State: domain.Dead, Reason: "550 no such user", At: at(3 * time.Second), Attempt: 2, Attempts: []domain.Attempt{
				{At: at(time.Second), Duration: 7 * time.Millisecond, Outcome: domain.Refused, Code: "450", Answer: "busy"},
				{At: at(2 * time.Second), Duration: 8 * time.Millisecond, Outcome: domain.Unreachable, Answer: "connection refused"},
				{At: at(3 * time.Second), Duration: 9 * time.Millisecond, Outcome: domain.Rejected, Code: "550", Answer: "no such user"},
			},
		})
		letter := ports.DeadLetter{ID: string(o.Created().ID) + ".mail", Subscription: "mail", Failure: ports.Failure{Reason: "550 no such user", Attempts: 2, FirstFailure: at(time.Second), LastFailure: at(3 * time.Second)}}
		if err := w.store.DeadLetters().Put(t.Context(), letter); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		record, err := w.store.DeadLetters().Get(t.Context(), letter.ID)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.store.DeadLetters().Settle(t.Context(), record, ports.Discarded, "bob"); err != nil {
			t.Fatal(err)
		}
		mail := func(d time.Duration, s console.StepView) console.StepView {
			s.At, s.Channel, s.Recipient = text(d), "mail", "user"
			return s
		}
		check(published,
			mail(time.Second, console.StepView{Kind: console.Attempt, Attempt: 1, Outcome: "refused", DurationMS: ms(7), Code: "450", Answer: "busy"}),
			mail(2*time.Second, console.StepView{Kind: console.Attempt, Outcome: "unreachable", DurationMS: ms(8), Answer: "connection refused"}),
			mail(3*time.Second, console.StepView{Kind: console.Attempt, Attempt: 2, Outcome: "rejected", DurationMS: ms(9), Code: "550", Answer: "no such user"}),
			mail(3*time.Second, console.StepView{Kind: console.State, Outcome: "dead", Text: "550 no such user"}),
			console.StepView{At: text(3 * time.Second), Kind: console.DeadLetter, Channel: "mail", Attempt: 2, Text: "550 no such user", DeadLetterID: letter.ID},
			console.StepView{At: text(5 * time.Second), Kind: console.Settled, Channel: "mail", Outcome: "discarded", Text: "by bob", DeadLetterID: letter.ID},
		)
		way := w.way(1)
		if way.Order == nil || way.Order.Product != "Laptop" || !way.OrdersKnown || len(way.Notifications) != 1 || len(way.Trace.Recipients) != 1 {
			t.Errorf("got %+v", way)
		}
		if diff := cmp.Diff([]console.LetterView{{ID: letter.ID, Channel: "mail", State: ports.Discarded, Reason: "550 no such user"}}, way.Letters); diff != "" {
			t.Errorf("letters (-want +got):\n%s", diff)
		}
	})
}

// Times of one order differ by milliseconds or hours; a held one says when it is tried.
func TestOrderWayOfHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.place(1, 1)
		pause := ports.Pause{PauseKey: domain.PauseKey{Channel: "mail"}, Kind: ports.Breaker, Since: time.Now(), Probe: domain.TruncateTime(time.Now().Add(time.Minute))}
		if err := w.store.ChannelStates().Pause(t.Context(), pause); err != nil {
			t.Fatal(err)
		}
		w.record(1, domain.Notification{State: domain.Held, HeldBy: pause.PauseKey, Reason: "connection refused", NextTry: time.Now().Add(time.Hour)})
		steps := w.way(1).Timeline
		if last := steps[len(steps)-1]; last.Outcome != "held" || last.NextTry != "2000-01-01T00:01:00.000Z" {
			t.Errorf("the last step is %+v, want one that is tried at the probe", last)
		}
	})
}

func TestOrderWayFailures(t *testing.T) {
	w := newWorld(t)
	w.place(1, 1)
	id := string(newOrder(1).ID)
	for target, status := range map[string]int{"/console/orders/x": 422, "/console/orders/0192f0c1-2d3e-7f4a-8b5c-00000000ffff": 404} {
		if got, body := get(w.console(), target); got != status {
			t.Errorf("%s: answered %d %s, want %d", target, got, body, status)
		}
	}
	for err, status := range map[error]int{errors.New("corrupt"): 500, &ports.UnreadableError{ID: id, Field: "quantity", Reason: "is a text"}: 500} {
		w.parts.Orders = orders{w.store.Orders(), err}
		if got, body := get(w.console(), "/console/orders/"+id); got != status || strings.Contains(body, "corrupt") {
			t.Errorf("%v: answered %d %s, want %d", err, got, body, status)
		}
	}

	// The order service is away: what the notifier knows is shown.
	w.parts.Orders = orders{w.store.Orders(), errAway}
	if got, body := get(w.console(), "/console/orders/"+id); got != 404 { // its event is in the queue
		t.Errorf("answered %d %s, want 404", got, body)
	}
	w.record(1, domain.Notification{State: domain.Sent})
	way := w.way(1)
	if way.Order != nil || !way.OrdersKnown || len(way.Faults) != 1 || way.Faults[0].Part != "orders" || strings.Contains(way.Faults[0].Error, "ann@") {
		t.Errorf("got %+v, want a fault", way)
	}
	w.parts.Orders = nil
	if way := w.way(1); way.Order != nil || way.OrdersKnown || len(way.Faults) != 0 || len(way.Timeline) != 1 {
		t.Errorf("got %+v, want what a notifier knows", way)
	}
}
