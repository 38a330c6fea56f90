package porttest

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/ports"
)

func replayClauses() []Clause[Broker] {
	return []Clause[Broker]{
		{"what is replayed is handed over at the first attempt, with every field as it was, and no dead letter any more", replayKeepsEveryField},
		{"what is replayed and fails again is the same dead letter with a later failure", replayFails},
		{"what is no event is drained as it came, and is the same dead letter when it was replayed", replayNoEvent},
		{"what is replayed keeps every property of its message, whether it is an event or not", replayKeepsProperties},
		{"Replay with an ended context says so, and puts nothing back", replayEnded},
		{"Drain and Replay leave the dead letter to the caller", replayValues},
	}
}

func replay(t testing.TB, b Broker, letters ...ports.DeadLetter) {
	t.Helper()
	ctx, queue := bounded(t), b.DeadLetters()
	for _, letter := range letters {
		if err := queue.Replay(ctx, letter); err != nil {
			t.Fatalf("replay dead letter %s: %v", letter.ID, err)
		}
	}
}

// checkSameMessage fails t unless both letters have the same id and message.
func checkSameMessage(t testing.TB, when string, want, got ports.DeadLetter) {
	t.Helper()
	message := func(letter ports.DeadLetter) ports.DeadLetter {
		letter.Failures = nil
		return letter
	}
	if diff := cmp.Diff(message(want), message(got), cmp.Comparer(bytes.Equal), cmp.Comparer(maps.Equal[map[string]string, map[string]string])); diff != "" {
		t.Errorf("dead letter %s (-before +now):\n%s", when, diff)
	}
}

func replayKeepsEveryField(t testing.TB, b Broker) {
	want := created(hardOrders(t))
	want[0].Time = want[0].Time.Add(1500 * time.Millisecond) // not its order's
	failing := consume(t, b.Consumer(), func(_ context.Context, d ports.Delivery) error {
		if d.Attempt == 1 {
			return errors.New("busy")
		}
		return ports.Permanent(errors.New("no such address"))
	})
	publish(t, b, want...)
	aside := drain(t, b.DeadLetters(), keepAll)
	letters := aside.awaitKept(letterOf(want...), len(want))
	failing.stop()

	in := consume(t, b.Consumer(), handleAll)
	replay(t, b, letters...)
	checkHandedOver(t, in, want...)
	time.Sleep(quiet)
	checkHandedOver(t, in, want...)
	checkDrained(t, aside, want...)
}

// The letter is replayed as a store gives it back.
func replayFails(t testing.TB, b Broker) {
	event := order(t, 1).Created()
	in := consume(t, b.Consumer(), func(_ context.Context, d ports.Delivery) error {
		if d.Attempt < 3 { // which every broker has
			return errors.New("busy")
		}
		return ports.Permanent(errors.New("no such address"))
	})
	aside := drain(t, b.DeadLetters(), keepAll)
	publish(t, b, event)
	first := aside.awaitKept(letterOf(event), 1)[0]
	before := lastFailure(t, first)
	eventually(t, "the clock moves on", func() bool { return time.Since(before.LastFailure) >= time.Millisecond })
	stored := first
	stored.Failures = []ports.Failure{{Reason: "long ago", Attempts: 1}, before}
	stored.State, stored.Since, stored.SettledAt = ports.Replayed, before.FirstFailure, time.Now()
	replay(t, b, stored)

	second := aside.awaitKept(letterOf(event), 2)[1]
	checkSameMessage(t, "after a replay", first, second)
	after := lastFailure(t, second)
	if after.Attempts != before.Attempts || after.Reason != before.Reason {
		t.Errorf("after a replay it failed for good after %d attempts because of %q, want %d and %q, as at first",
			after.Attempts, after.Reason, before.Attempts, before.Reason)
	}
	if !after.FirstFailure.After(before.LastFailure) || after.LastFailure.Before(after.FirstFailure) {
		t.Errorf("first and last failure were at %v and %v after a replay, want both later than %v",
			after.FirstFailure, after.LastFailure, before.LastFailure)
	}
	if diff := cmp.Diff([]int{1, 2, 3, 1, 2, 3}, in.attempts(event.ID)); diff != "" {
		t.Errorf("attempts (-want +got):\n%s", diff)
	}
}

func replayNoEvent(t testing.TB, b Broker) {
	bodies := slices.Sorted(slices.Values(notEvents()))
	in := consume(t, b.Consumer(), handleAll)
	aside := drain(t, b.DeadLetters(), keepAll)
	inject(t, b, bodies...)
	first := slices.Clone(aside.awaitKept(anyLetter, len(bodies)))
	replay(t, b, first...)
	second := aside.awaitKept(anyLetter, 2*len(bodies))[len(bodies):]
	for _, letters := range [][]ports.DeadLetter{first, second} {
		slices.SortFunc(letters, func(a, b ports.DeadLetter) int { return bytes.Compare(a.Body, b.Body) })
		for i, letter := range letters {
			if string(letter.Body) != bodies[i] {
				t.Fatalf("drained a body of %d bytes %.40q, want %.40q", len(letter.Body), letter.Body, bodies[i])
			}
			if letter.ID == "" || letter.MessageID == "" {
				t.Errorf("dead letter %q has message id %q, want ids", letter.ID, letter.MessageID)
			}
		}
	}
	for i := range first {
		checkSameMessage(t, "after a replay", first[i], second[i])
	}
	if got := in.got(); len(got) > 0 {
		t.Errorf("handed over %d events that are none", len(got))
	}
}

// What the letters have is what others than our publishers say. Timestamps may
// have seconds only.
func replayKeepsProperties(t testing.TB, b Broker) {
	consume(t, b.Consumer(), func(_ context.Context, d ports.Delivery) error {
		if d.Attempt == 1 {
			return errors.New("busy")
		}
		return ports.Permanent(errors.New("no such address"))
	})
	aside := drain(t, b.DeadLetters(), keepAll)
	inject(t, b, "hello")
	publish(t, b, order(t, 1).Created())
	const count = 2
	sent := map[string]ports.DeadLetter{} // by body
	for n, letter := range aside.awaitKept(anyLetter, count) {
		from := nthLetter(n)
		letter.ContentType, letter.ContentEncoding, letter.CorrelationID = "text/x-any", from.ContentEncoding, from.CorrelationID
		letter.ReplyTo, letter.Type, letter.AppID = from.ReplyTo, from.Type, from.AppID
		letter.Timestamp = epoch.Add(time.Duration(n+1) * time.Second)
		sent[string(letter.Body)] = letter
		replay(t, b, letter)
	}
	again := aside.awaitKept(anyLetter, 2*count)[count:]
	for _, got := range again {
		want := sent[string(got.Body)]
		if letterOfNoEvent(want) {
			want.ID = got.ID // which is made from the properties, too
		}
		checkSameMessage(t, "after a replay with other properties", want, got)
		replay(t, b, got)
	}
	for _, got := range aside.awaitKept(anyLetter, 3*count)[2*count:] {
		i := slices.IndexFunc(again, func(l ports.DeadLetter) bool { return bytes.Equal(l.Body, got.Body) })
		if i < 0 {
			t.Fatalf("a letter of body %.100q was set aside, though another was replayed", got.Body)
		}
		checkSameMessage(t, "after another replay", again[i], got)
	}
}

func replayEnded(t testing.TB, b Broker) {
	event := order(t, 1).Created()
	setAside(t, b, event)
	letter := drain(t, b.DeadLetters(), keepAll).awaitKept(anyLetter, 1)[0]
	queue := b.DeadLetters()
	checkEnded(t, "Replay", func(ctx context.Context) error { return queue.Replay(ctx, letter) })
	in := consume(t, b.Consumer(), handleAll)
	time.Sleep(quiet)
	if got := in.got(); len(got) > 0 {
		t.Errorf("handed over %d times, though nothing was replayed", len(got))
	}
	replay(t, b, letter)
	checkHandedOver(t, in, event)
}

// Whatever the caller does to a letter, nothing in the broker changes.
func replayValues(t testing.TB, b Broker) {
	event := order(t, 1).Created()
	setAside(t, b, event)
	spoil := func(letter ports.DeadLetter) {
		clear(letter.Body)
		clear(letter.Headers)
	}
	var whole ports.DeadLetter
	box := drain(t, b.DeadLetters(), func(_ context.Context, letter ports.DeadLetter, nth int) error {
		if nth == 1 {
			spoil(letter)
			return errors.New("the store is away")
		}
		whole = letter
		return nil
	})
	box.awaitKept(anyLetter, 1)
	box.stop() // so that whole is ours
	queue := b.DeadLetters()
	if err := queue.Replay(bounded(t), whole); err != nil {
		t.Fatal(err)
	}
	spoil(whole)
	checkHandedOver(t, consume(t, b.Consumer(), handleAll), event)
}
