package porttest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

func consumeClauses() []Clause[Broker] {
	return []Clause[Broker]{
		{"Consume returns nil at once if its context has ended, and takes nothing", consumeEnded},
		{"Consume without a handler is an error at once", consumeNil},
		{"Consume waits for events as long as its context lives, and then returns nil", consumeIdle},
		{"a consumer that was stopped can consume again", consumeAgain},
		{"Consume hands over several events at once", consumeSeveral},
		{"Consume never hands over two events of one order at once", consumeOneOfOrder},
		{"what is handled stays away, also when another consumer asks", consumeHandled},
		{"consumers share the events between them", func(t testing.TB, b Broker) {
			shareEvents(t, b, b.Consumer(), b.Consumer())
		}},
		{"two calls of Consume on one consumer share the events between them", func(t testing.TB, b Broker) {
			consumer := b.Consumer()
			shareEvents(t, b, consumer, consumer)
		}},
		{"a handler's context has a bound", handlerDeadline},
		{"a handler's context lives on when Consume's has ended", handlerOutlivesConsume},
		{"Consume waits for the handlers in hand", consumeWaits},
		{"what is handled while Consume ends stays away", consumeSettlesLast},
		{"Consume hands over nothing once its context has ended, and the next gets it", consumeTakesNoMore},
	}
}

func consumeEnded(t testing.TB, b Broker) {
	want := events(t, 1, 3)
	publish(t, b, want...)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	in := consumeUntil(t, ctx, cancel, b.Consumer(), handleAll)
	in.stop()
	if got := in.got(); len(got) > 0 {
		t.Errorf("Consume with an ended context handed over %d events", len(got))
	}
	checkHandedOver(t, consume(t, b.Consumer(), handleAll), want...)
}

func consumeNil(t testing.TB, b Broker) {
	checkRefused(t, "Consume", func(ctx context.Context) error { return b.Consumer().Consume(ctx, nil) })
}

// checkRefused fails t unless the call returns an error before its context ends.
func checkRefused(t testing.TB, name string, call func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := call(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("%s without a function to call returned error %v, want one at once", name, err)
	}
}

func consumeIdle(t testing.TB, b Broker) {
	in := consume(t, b.Consumer(), handleAll)
	for n := range 3 {
		select {
		case <-in.returned:
			t.Fatalf("Consume returned error %v before its context ended", in.err)
		case <-time.After(quiet):
		}
		publish(t, b, order(t, n).Created())
		in.awaitHandled(order(t, n).Created().ID)
	}
	in.stop()
}

func consumeAgain(t testing.TB, b Broker) {
	consumer := b.Consumer()
	for n := range 3 {
		in := consume(t, consumer, handleAll)
		publish(t, b, order(t, n).Created())
		checkHandedOver(t, in, order(t, n).Created())
		in.stop()
	}
}

func consumeSeveral(t testing.TB, b Broker) {
	want := events(t, 1, 10)
	all := newGate(t)
	in := consume(t, b.Consumer(), func(context.Context, ports.Delivery) error {
		all.pass()
		return nil
	})
	publish(t, b, want...)
	in.awaitBegun(eventIDs(want)...)
	close(all.open)
	checkHandedOver(t, in, want...)
}

func consumeOneOfOrder(t testing.TB, b Broker) {
	const count, each = 4, 5
	var mu sync.Mutex
	inHand := map[domain.OrderID]bool{}
	again := eventsOf(t, 1, 1)[0] // fails once, and comes amid the others
	fault := ""
	in := consume(t, b.Consumer(), func(_ context.Context, d ports.Delivery) error {
		id := d.Event.Order.ID
		mu.Lock()
		if inHand[id] {
			fault = fmt.Sprintf("two events of order %s were in hand at once", id)
		}
		inHand[id] = true
		mu.Unlock()
		time.Sleep(2 * tick)
		mu.Lock()
		delete(inHand, id)
		mu.Unlock()
		if d.Attempt == 1 && d.Event == again {
			return errors.New("not yet")
		}
		return nil
	})
	var want []domain.Event
	for i := range each {
		var batch []domain.Event
		for n := range count {
			batch = append(batch, eventsOf(t, n, each)[i])
		}
		publish(t, b, batch...)
		want = append(want, batch...)
	}
	in.awaitEach(want...)
	in.stop()
	if fault != "" {
		t.Error(fault)
	}
}

func consumeHandled(t testing.TB, b Broker) {
	handled, fresh := events(t, 1, 20), order(t, 100).Created()
	aside := drain(t, b.DeadLetters(), keepAll)
	publish(t, b, handled...)
	first := consume(t, b.Consumer(), handleAll)
	checkHandedOver(t, first, handled...)
	first.stop()

	second := consume(t, b.Consumer(), handleAll)
	publish(t, b, fresh)
	second.awaitHandled(fresh.ID)
	time.Sleep(quiet)
	checkHandedOver(t, second, fresh)
	checkNothingAside(t, aside)
}

// shareEvents lets both hold what they get until each has something, so that
// neither can take all before the other has begun.
func shareEvents(t testing.TB, b Broker, one, other ports.EventConsumer) {
	const wave, waves = 50, 40
	both := newGate(t)
	hold := func(context.Context, ports.Delivery) error {
		both.pass()
		return nil
	}
	first, second := consume(t, one, hold), consume(t, other, hold)
	var want []domain.Event
	bothHave := func() bool { return first.hasAny() && second.hasAny() }
	for n := 0; n < waves && !bothHave(); n++ {
		more := events(t, n*wave, wave)
		publish(t, b, more...)
		want = append(want, more...)
		time.Sleep(5 * tick)
	}
	eventually(t, "both consumers get events", bothHave)
	close(both.open)

	times := map[domain.EventID]int{}
	eventually(t, "every event is handed to one of the consumers", func() bool {
		clear(times)
		for _, h := range append(first.got(), second.got()...) {
			times[h.Event.ID]++
		}
		return len(times) == len(want)
	})
	time.Sleep(quiet)
	for _, h := range append(first.got(), second.got()...) {
		if h.Attempt != 1 {
			t.Errorf("event %s came at attempt %d, without a failure", h.Event.ID, h.Attempt)
		}
	}
	if handed := len(first.got()) + len(second.got()); handed != len(want) {
		t.Errorf("%d events were handed over %d times", len(want), handed)
	}
}

func handlerDeadline(t testing.TB, b Broker) {
	type seen struct {
		ok   bool
		left time.Duration
		err  error
	}
	got := make(chan seen, 10)
	in := consume(t, b.Consumer(), func(ctx context.Context, _ ports.Delivery) error {
		deadline, ok := ctx.Deadline()
		got <- seen{ok, time.Until(deadline), ctx.Err()}
		return nil
	})
	publish(t, b, order(t, 1).Created())
	in.awaitHandled(order(t, 1).Created().ID)
	if s := <-got; !s.ok || s.left <= 0 || s.err != nil {
		t.Errorf("handler's context has a deadline: %v, in %v, error %v; want one ahead", s.ok, s.left, s.err)
	}
}
