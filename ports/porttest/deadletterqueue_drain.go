package porttest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

func drainClauses() []Clause[Broker] {
	return []Clause[Broker]{
		{"what is set aside is drained once, with id, reason, attempts and times", drainFields},
		{"two messages of strangers are two dead letters, though they say the same", drainTwins},
		{"Drain returns nil at once if its context has ended, and takes nothing", drainEnded},
		{"Drain without keep is an error at once", drainNil},
		{"Drain waits for dead letters as long as its context lives, and then returns nil", drainIdle},
		{"Drain hands over several dead letters at once", drainSeveral},
		{"a dead letter that keep fails on is handed over again, the same, until it is kept", drainAgain},
		{"a dead letter that keep panics on is handed over again, and Drain lives on", drainPanic},
		{"dead letters that can't be kept hold up no others, be they many", drainHoldsUpNobody},
		{"what was kept stays away, also when another drains", drainKept},
		{"drains share the dead letters between them", drainShare},
		{"keep's context has a bound", keepDeadline},
		{"keep's context lives on when Drain's has ended", keepOutlivesDrain},
		{"Drain waits for the dead letters in hand", drainWaits},
		{"what is kept while Drain ends stays away, and what is not goes to the next", drainSettlesLast},
		{"Drain hands over nothing once its context has ended, and the next gets it", drainTakesNoMore},
	}
}

func drainNil(t testing.TB, b Broker) {
	checkRefused(t, "Drain", func(ctx context.Context) error { return b.DeadLetters().Drain(ctx, nil) })
}

func failForGood(context.Context, ports.Delivery) error {
	return ports.Permanent(errors.New("no such address"))
}

// setAside has the events set aside before it returns.
func setAside(t testing.TB, b Broker, events ...domain.Event) {
	t.Helper()
	in := consume(t, b.Consumer(), failForGood)
	publish(t, b, events...)
	in.awaitHandled(eventIDs(events)...)
	in.stop()
}

// checkDrained fails t unless each of the events was kept, in no more than
// that one offer, and nothing else was offered.
func checkDrained(t testing.TB, box *letterbox, want ...domain.Event) {
	t.Helper()
	box.awaitKept(letterOf(want...), len(want))
	seen := map[string]bool{}
	for _, o := range box.got(anyLetter) {
		if seen[o.ID] || !letterOf(want...)(o.DeadLetter) {
			t.Errorf("dead letter %s was handed over, want it not to be, or not again", o.ID)
		}
		seen[o.ID] = true
	}
}

// Times are compared with this machine's clock, at which the consumer runs too.
func drainFields(t testing.TB, b Broker) {
	event := order(t, 1).Created()
	in := consume(t, b.Consumer(), func(_ context.Context, d ports.Delivery) error {
		if d.Attempt == 1 {
			return errors.New("busy")
		}
		return fmt.Errorf("send: %w", ports.Permanent(errors.New("no such address")))
	})
	publish(t, b, event)
	eventually(t, "the event is handed over twice", func() bool { return len(in.got(event.ID)) == 2 })
	in.stop()
	stopped := time.Now()
	time.Sleep(quiet) // so that no time of now is taken for one of then
	aside := drain(t, b.DeadLetters(), keepAll)
	letter := aside.awaitKept(letterOf(event), 1)[0]
	time.Sleep(quiet)
	checkSetAside(t, aside, event, 2, "send: no such address")
	checkDrained(t, aside, event)

	if letter.MessageID == "" || letter.State != "" || !letter.Since.IsZero() || !letter.SettledAt.IsZero() {
		t.Errorf("drained with message id %q, state %q, since %v, settled at %v; want the id alone",
			letter.MessageID, letter.State, letter.Since, letter.SettledAt)
	}
	failure, handed := lastFailure(t, letter), in.got(event.ID)
	for _, at := range []struct {
		name           string
		got            time.Time
		earliest, last time.Time
	}{
		{"first", failure.FirstFailure, handed[0].began, handed[1].began.Add(-25 * time.Millisecond)}, // half of the least delay
		{"last", failure.LastFailure, handed[1].began, stopped},
	} {
		if at.got.Before(at.earliest.Truncate(time.Millisecond)) || at.got.After(at.last) {
			t.Errorf("the %s failure was at %v, want %v to %v", at.name, at.got, at.earliest, at.last)
		}
		if at.got.Location() != time.UTC || !at.got.Equal(at.got.Truncate(time.Millisecond)) {
			t.Errorf("the %s failure was at %v, want it in UTC, to the millisecond", at.name, at.got)
		}
	}
}

func drainTwins(t testing.TB, b Broker) {
	consume(t, b.Consumer(), handleAll)
	inject(t, b, "hello", "hello")
	letters := drain(t, b.DeadLetters(), keepAll).awaitKept(anyLetter, 2)
	if letters[0].ID == letters[1].ID {
		t.Errorf("both are dead letter %s", letters[0].ID)
	}
}

func drainEnded(t testing.TB, b Broker) {
	want := events(t, 1, 3)
	setAside(t, b, want...)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	box := drainUntil(t, ctx, cancel, b.DeadLetters(), keepAll)
	box.stop()
	if got := box.got(anyLetter); len(got) > 0 {
		t.Errorf("Drain with an ended context handed over %d dead letters", len(got))
	}
	checkDrained(t, drain(t, b.DeadLetters(), keepAll), want...)
}

func drainIdle(t testing.TB, b Broker) {
	box := drain(t, b.DeadLetters(), keepAll)
	for n := range 3 {
		select {
		case <-box.returned:
			t.Fatalf("Drain returned error %v before its context ended", box.err)
		case <-time.After(quiet):
		}
		setAside(t, b, order(t, n).Created())
		box.awaitKept(letterOf(order(t, n).Created()), 1)
	}
	box.stop()
}

func drainSeveral(t testing.TB, b Broker) {
	want := events(t, 1, 10)
	all := newGate(t)
	box := drain(t, b.DeadLetters(), func(context.Context, ports.DeadLetter, int) error {
		all.pass()
		return nil
	})
	setAside(t, b, want...)
	box.awaitOffers(letterOf(want...), len(want))
	close(all.open)
	checkDrained(t, box, want...)
}

func drainAgain(t testing.TB, b Broker) {
	const failures = 2
	failing, fine := order(t, 1).Created(), order(t, 2).Created()
	setAside(t, b, failing, fine)
	box := drain(t, b.DeadLetters(), func(_ context.Context, letter ports.DeadLetter, nth int) error {
		if letterOf(failing)(letter) && nth <= failures {
			return errors.New("the store is away")
		}
		return nil
	})
	box.awaitKept(letterOf(failing, fine), 2)
	time.Sleep(quiet)
	if n := len(box.got(letterOf(fine))); n != 1 {
		t.Errorf("a dead letter that was kept was handed over %d times", n)
	}
	offers := box.got(letterOf(failing))
	if len(offers) != failures+1 {
		t.Errorf("handed over %d times, want %d", len(offers), failures+1)
	}
	for _, o := range offers[1:] {
		checkSameLetter(t, "at the next time", offers[0].DeadLetter, o.DeadLetter)
	}
}

func drainPanic(t testing.TB, b Broker) {
	bad, good := order(t, 1).Created(), order(t, 2).Created()
	setAside(t, b, bad)
	box := drain(t, b.DeadLetters(), func(_ context.Context, letter ports.DeadLetter, nth int) error {
		if letterOf(bad)(letter) && nth == 1 {
			panic("keep out of order")
		}
		return nil
	})
	box.awaitOffers(letterOf(bad), 1)
	setAside(t, b, good)
	box.awaitKept(letterOf(bad, good), 2)
}

func drainHoldsUpNobody(t testing.TB, b Broker) {
	failing, fine := events(t, 1, 200), events(t, 1000, 5)
	setAside(t, b, failing...)
	box := drain(t, b.DeadLetters(), func(_ context.Context, letter ports.DeadLetter, _ int) error {
		if letterOf(fine...)(letter) {
			return nil
		}
		return errors.New("too large for the store")
	})
	box.awaitOffers(letterOf(failing...), 1)
	setAside(t, b, fine...)
	box.awaitKept(letterOf(fine...), len(fine))
}

func drainKept(t testing.TB, b Broker) {
	kept, fresh := events(t, 1, 20), order(t, 100).Created()
	setAside(t, b, kept...)
	first := drain(t, b.DeadLetters(), keepAll)
	checkDrained(t, first, kept...)
	first.stop()

	second := drain(t, b.DeadLetters(), keepAll)
	setAside(t, b, fresh)
	checkDrained(t, second, fresh)
	time.Sleep(quiet)
	checkDrained(t, second, fresh)
}

// Both hold what they get until each has something, so that neither can take
// all before the other has begun.
func drainShare(t testing.TB, b Broker) {
	const wave, waves = 50, 40
	both := newGate(t)
	hold := func(context.Context, ports.DeadLetter, int) error {
		both.pass()
		return nil
	}
	first, second := drain(t, b.DeadLetters(), hold), drain(t, b.DeadLetters(), hold)
	var want []domain.Event
	bothHave := func() bool { return len(first.got(anyLetter)) > 0 && len(second.got(anyLetter)) > 0 }
	for n := 0; n < waves && !bothHave(); n++ {
		more := events(t, n*wave, wave)
		setAside(t, b, more...)
		want = append(want, more...)
		time.Sleep(5 * tick)
	}
	eventually(t, "both drains get dead letters", bothHave)
	close(both.open)

	got := func() []offer { return slices.Concat(first.got(anyLetter), second.got(anyLetter)) }
	eventually(t, "every dead letter is handed to one of the drains", func() bool {
		seen := map[string]bool{}
		for _, o := range got() {
			seen[o.ID] = true
		}
		return len(seen) == len(want)
	})
	time.Sleep(quiet)
	if handed := len(got()); handed != len(want) {
		t.Errorf("%d dead letters were handed over %d times", len(want), handed)
	}
}

// checkSameLetter fails t unless both are the same letter with the same message.
func checkSameLetter(t testing.TB, when string, want, got ports.DeadLetter) {
	t.Helper()
	checkSameMessage(t, when, want, got)
	if f, g := lastFailure(t, want), lastFailure(t, got); f != g {
		t.Errorf("the failure is %+v %s, want %+v", g, when, f)
	}
}
