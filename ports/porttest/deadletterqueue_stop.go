package porttest

import (
	"context"
	"errors"
	"testing"
	"time"

	"example.com/orderflow/ports"
)

func keepDeadline(t testing.TB, b Broker) {
	type seen struct {
		ok   bool
		left time.Duration
		err  error
	}
	got := make(chan seen, 10)
	setAside(t, b, order(t, 1).Created())
	box := drain(t, b.DeadLetters(), func(ctx context.Context, _ ports.DeadLetter, _ int) error {
		deadline, ok := ctx.Deadline()
		got <- seen{ok, time.Until(deadline), ctx.Err()}
		return nil
	})
	box.awaitKept(anyLetter, 1)
	if s := <-got; !s.ok || s.left <= 0 || s.err != nil {
		t.Errorf("keep's context has a deadline: %v, in %v, error %v; want one ahead", s.ok, s.left, s.err)
	}
}

func keepOutlivesDrain(t testing.TB, b Broker) {
	ended := newGate(t)
	got := make(chan error, 10)
	setAside(t, b, order(t, 1).Created())
	box := drain(t, b.DeadLetters(), func(ctx context.Context, _ ports.DeadLetter, _ int) error {
		ended.pass()
		select {
		case <-ctx.Done():
		case <-time.After(quiet):
		}
		got <- ctx.Err()
		return nil
	})
	box.awaitOffers(anyLetter, 1)
	box.cancel()
	close(ended.open)
	box.awaitKept(anyLetter, 1)
	if err := <-got; err != nil {
		t.Errorf("keep's context: %v, soon after Drain's had ended", err)
	}
}

func drainWaits(t testing.TB, b Broker) {
	want := events(t, 1, 3)
	done := newGate(t)
	setAside(t, b, want...)
	box := drain(t, b.DeadLetters(), func(context.Context, ports.DeadLetter, int) error {
		done.pass()
		return nil
	})
	box.awaitOffers(anyLetter, len(want))
	box.cancel()
	select {
	case <-box.returned:
		t.Error("Drain returned while keep was at work")
	case <-time.After(quiet):
	}
	close(done.open)
	box.stop()
	for _, o := range box.got(anyLetter) {
		if !o.ended {
			t.Errorf("Drain returned before keep had for %s", o.ID)
		}
	}
}

// What keep answers after Drain's context has ended counts as before.
func drainSettlesLast(t testing.TB, b Broker) {
	fine, failing := order(t, 1).Created(), order(t, 2).Created()
	setAside(t, b, fine, failing)
	ended := newGate(t)
	first := drain(t, b.DeadLetters(), func(_ context.Context, letter ports.DeadLetter, _ int) error {
		ended.pass()
		if letterOf(failing)(letter) {
			return errors.New("the store is away")
		}
		return nil
	})
	first.awaitOffers(anyLetter, 2)
	first.cancel()
	close(ended.open)
	first.stop()

	second := drain(t, b.DeadLetters(), keepAll)
	checkDrained(t, second, failing)
	time.Sleep(quiet)
	checkDrained(t, second, failing)
}

func drainTakesNoMore(t testing.TB, b Broker) {
	all := events(t, 1, 300) // more than most have in hand at once
	setAside(t, b, all...)
	ended := newGate(t)
	first := drain(t, b.DeadLetters(), func(context.Context, ports.DeadLetter, int) error {
		ended.pass()
		return nil
	})
	inHand := -1
	eventually(t, "no more dead letters are handed over while none is kept", func() bool {
		before := inHand
		time.Sleep(quiet)
		inHand = len(first.got(anyLetter))
		return inHand > 0 && inHand == before
	})
	first.cancel()
	close(ended.open)
	first.stop()
	handed := first.kept(anyLetter)
	if len(handed) > inHand {
		t.Errorf("%d dead letters were in hand when the context ended, and %d more were handed over after it", inHand, len(handed)-inHand)
	}
	second := drain(t, b.DeadLetters(), keepAll)
	second.awaitKept(anyLetter, len(all)-len(handed))
	time.Sleep(quiet)
	if n := len(second.got(anyLetter)); n != len(all)-len(handed) {
		t.Errorf("the next got %d dead letters, want the other %d", n, len(all)-len(handed))
	}
}
