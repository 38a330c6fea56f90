package porttest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

func replay(t testing.TB, q DeadLetterQueue, letters ...ports.DeadLetter) {
	t.Helper()
	ctx, queue := bounded(t), q.Queue()
	for _, letter := range letters {
		must(t, "replay dead letter "+letter.ID, queue.Replay(ctx, letter))
	}
}

// checkSameMessage fails t unless both letters have the same id and message.
func checkSameMessage(t testing.TB, when string, want, got ports.DeadLetter) {
	t.Helper()
	got.Failure = want.Failure
	checkEqual(t, "dead letter "+want.ID+" "+when, want, got)
}

var queueReplay = []Clause[DeadLetterQueue]{
	{"a replayed event is delivered at the first attempt, with every field as it was, and is not a dead letter any more", func(t testing.TB, q DeadLetterQueue) {
		ids := eventIDs(hardEvents())
		failing := consume(t, q.Events, failBeforeReject(2))
		publish(t, q.Events, hardEvents()...)
		aside := drain(t, q, accept)
		aside.awaitEnded(ids...)
		failing.stop()

		in := consume(t, q.Events, accept)
		replay(t, q, aside.accepted(ids...)...)
		checkDelivered(t, in, hardEvents()...)
		time.Sleep(quiet)
		checkDelivered(t, in, hardEvents()...)
		aside.checkOnce(ids...)
	}},

	{"a replayed event that fails again is the same dead letter with a later failure", func(t testing.TB, q DeadLetterQueue) {
		id := event(1).ID
		in := consume(t, q.Events, failBeforeReject(3)) // the least that Events.Attempts allows
		aside := drain(t, q, accept)
		publish(t, q.Events, event(1))
		first := aside.awaitAccepted(1, id)[0]
		before := first.Failure
		eventually(t, "the clock advances", func() bool { return time.Since(before.LastFailure) >= time.Millisecond })
		replay(t, q, first)

		second := aside.awaitAccepted(2, id)[1]
		checkSameMessage(t, "after its replay", first, second)
		after := second.Failure
		if after.Attempts != before.Attempts || after.Reason != before.Reason {
			t.Errorf("dead letter %s has %d attempts and reason %q after its replay, want %d and %q as before it",
				id, after.Attempts, after.Reason, before.Attempts, before.Reason)
		}
		if !after.FirstFailure.After(before.LastFailure) || after.LastFailure.Before(after.FirstFailure) {
			t.Errorf("dead letter %s failed first at %v and last at %v after its replay, want both later than %v",
				id, after.FirstFailure, after.LastFailure, before.LastFailure)
		}
		checkAttempts(t, in, id, 1, 2, 3, 1, 2, 3)
	}},

	{"a message that is not an event is drained unchanged, and is the same dead letter after its replay", func(t testing.TB, q DeadLetterQueue) {
		bodies := slices.Sorted(slices.Values(notEvents()))
		in := consume(t, q.Events, accept)
		aside := drain(t, q, accept)
		inject(t, q.Events, bodies...)
		first := slices.Clone(aside.awaitAccepted(len(bodies)))
		replay(t, q, first...)
		second := aside.awaitAccepted(2 * len(bodies))[len(bodies):]
		for _, letters := range [][]ports.DeadLetter{first, second} {
			slices.SortFunc(letters, func(a, b ports.DeadLetter) int {
				return strings.Compare(string(a.Message.Body), string(b.Message.Body))
			})
			for i, letter := range letters {
				m := letter.Message
				if string(m.Body) != bodies[i] {
					t.Fatalf("dead letter %s has a body of %d bytes %.40q, want %.40q", letter.ID, len(m.Body), m.Body, bodies[i])
				}
				if letter.ID == "" || m.ID == "" {
					t.Errorf("dead letter %q with body %.40q has message id %q, want both ids", letter.ID, m.Body, m.ID)
				}
			}
		}
		for i := range first {
			checkSameMessage(t, "after its replay", first[i], second[i])
		}
		for _, h := range in.got() {
			t.Errorf("Consume delivered %s, which is no event", h.item.Event.ID)
		}
	}},

	// The properties are those that other senders set. Timestamps may have
	// seconds only.
	{"a replayed message keeps every property, whether it is an event or not", func(t testing.TB, q DeadLetterQueue) {
		consume(t, q.Events, failBeforeReject(2))
		aside := drain(t, q, accept)
		inject(t, q.Events, "hello")
		publish(t, q.Events, event(1))
		const count = 2
		sent := map[string]ports.DeadLetter{} // by body
		for n, letter := range aside.awaitAccepted(count) {
			m := nthLetter(n).Message
			m.ID, m.Headers, m.Body = letter.Message.ID, letter.Message.Headers, letter.Message.Body
			m.ContentType, m.Timestamp = "text/x-any", epoch.Add(time.Duration(n+1)*time.Second)
			letter.Message = m
			sent[string(m.Body)] = letter
			replay(t, q, letter)
		}
		again := map[string]ports.DeadLetter{}
		for _, got := range aside.awaitAccepted(2 * count)[count:] {
			want := sent[string(got.Message.Body)]
			if _, isEvent := domain.EventID(want.ID).OrderID(); !isEvent {
				want.ID = got.ID // it depends on the properties
			}
			checkSameMessage(t, "after a replay with other properties", want, got)
			again[string(got.Message.Body)] = got
			replay(t, q, got)
		}
		for _, got := range aside.awaitAccepted(3 * count)[2*count:] {
			checkSameMessage(t, "after another replay", again[string(got.Message.Body)], got)
		}
	}},

	{"Replay with an ended context returns its error, and puts nothing back", func(t testing.TB, q DeadLetterQueue) {
		setAside(t, q, event(1))
		letter := drain(t, q, accept).awaitAccepted(1)[0]
		queue := q.Queue()
		checkEnded(t, "Replay", func(ctx context.Context) error { return queue.Replay(ctx, letter) })
		in := consume(t, q.Events, accept)
		time.Sleep(quiet)
		for _, h := range in.got() {
			t.Errorf("Consume delivered event %s, although its replay failed", h.item.Event.ID)
		}
		replay(t, q, letter)
		checkDelivered(t, in, event(1))
	}},

	{"Drain and Replay share no memory with their caller", func(t testing.TB, q DeadLetterQueue) {
		setAside(t, q, event(1))
		spoil := func(letter ports.DeadLetter) {
			clear(letter.Message.Body)
			clear(letter.Message.Headers)
		}
		in := drain(t, q, func(_ context.Context, letter ports.DeadLetter, nth int) error {
			if nth == 1 {
				spoil(letter)
				return errors.New("the store is unreachable")
			}
			return nil
		})
		whole := in.awaitAccepted(1)[0]
		in.stop()
		replay(t, q, whole)
		spoil(whole)
		checkDelivered(t, consume(t, q.Events, accept), event(1))
	}},
}
