package porttest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// checkSubscription fails t unless the letter is the event's, of the subscription.
func checkSubscription(t testing.TB, letter ports.DeadLetter, event domain.Event, subscription string) {
	t.Helper()
	if want := string(letterOf(event, subscription)); letter.ID != want || letter.Subscription != subscription || letter.Message.ID != string(event.ID) {
		t.Errorf("dead letter %q of subscription %q with message %q, want %q of %q with message %q",
			letter.ID, letter.Subscription, letter.Message.ID, want, subscription, event.ID)
	}
}

var queueSubscribe = []Clause[DeadLetterQueue]{
	{"an event that two queues set aside becomes two dead letters, each with its subscription", func(t testing.TB, q DeadLetterQueue) {
		aside := drain(t, q, accept)
		consume(t, q.Events, reject)
		subscribe(t, q.Events, mail, failBeforeReject(2))
		subscribe(t, q.Events, webhook, accept)
		publish(t, q.Events, event(1))
		for _, name := range []string{"", mail} {
			checkSubscription(t, aside.awaitAccepted(1, letterOf(event(1), name))[0], event(1), name)
		}
		time.Sleep(quiet)
		aside.checkOnce(letterOf(event(1), ""), letterOf(event(1), mail))
		checkSetAside(t, aside, letterOf(event(1), mail), 2, "send: no such address")
	}},

	{"a replayed dead letter is delivered to its subscription alone, at the first attempt", func(t testing.TB, q DeadLetterQueue) {
		once := func(last int) handler[ports.Delivery] {
			return func(ctx context.Context, d ports.Delivery, nth int) error {
				if nth > last {
					return nil
				}
				return failBeforeReject(last)(ctx, d, nth)
			}
		}
		main, in, other := consume(t, q.Events, once(1)), subscribe(t, q.Events, mail, once(2)), subscribe(t, q.Events, webhook, accept)
		aside := drain(t, q, accept)
		publish(t, q.Events, event(1))
		mails := aside.awaitAccepted(1, letterOf(event(1), mail))[0]
		mains := aside.awaitAccepted(1, letterOf(event(1), ""))[0]

		replay(t, q, mails)
		awaitAttempts(t, in, event(1).ID, 3)
		time.Sleep(quiet)
		checkAttempts(t, in, event(1).ID, 1, 2, 1)
		checkAttempts(t, main, event(1).ID, 1)

		replay(t, q, mains)
		awaitAttempts(t, main, event(1).ID, 2)
		time.Sleep(quiet)
		checkAttempts(t, in, event(1).ID, 1, 2, 1)
		checkAttempts(t, main, event(1).ID, 1, 1)
		checkAttempts(t, other, event(1).ID, 1)
		for _, h := range append(in.got(), main.got()...) {
			checkEqual(t, "event "+string(event(1).ID)+" after replays", event(1), h.item.Event)
		}
	}},

	{"a replayed dead letter of a subscription that fails again is the same dead letter", func(t testing.TB, q DeadLetterQueue) {
		subscribe(t, q.Events, mail, reject)
		aside := drain(t, q, accept)
		publish(t, q.Events, event(1))
		id := letterOf(event(1), mail)
		first := aside.awaitAccepted(1, id)[0]
		replay(t, q, first)
		checkSameMessage(t, "after its replay", first, aside.awaitAccepted(2, id)[1])
	}},

	{"Replay returns ErrUnavailable when the subscription's queue does not exist, and makes none", func(t testing.TB, q DeadLetterQueue) {
		setAside(t, q, event(1))
		letter := drain(t, q, accept).awaitAccepted(1)[0]
		letter.ID, letter.Subscription = string(letterOf(event(1), nowhere)), nowhere
		queue := q.Queue()
		for range 2 {
			checkError(t, "replay dead letter", queue.Replay(bounded(t), letter), ports.ErrUnavailable, letter.ID)
		}
		in := subscribe(t, q.Events, nowhere, accept)
		publish(t, q.Events, event(2))
		checkDelivered(t, in, event(2))
		replay(t, q, letter)
		checkDelivered(t, in, event(1), event(2))
	}},
}

var queueSetAsideCall = []Clause[DeadLetterQueue]{
	{"SetAside makes the dead letter that the subscription's consumer would have made", func(t testing.TB, q DeadLetterQueue) {
		aside := drain(t, q, accept)
		consume(t, q.Events, reject)
		subscribe(t, q.Events, mail, reject)
		publish(t, q.Events, hardEvents()...)
		queue := q.Queue()
		for n, event := range hardEvents() {
			for _, name := range []string{"", mail} {
				id := letterOf(event, name)
				want := aside.awaitAccepted(1, id)[0]
				want.Failure = ports.Failure{
					Reason: fmt.Sprintf("refused for %d days", n), Attempts: n + 7,
					FirstFailure: epoch.Add(time.Millisecond), LastFailure: epoch.Add(72 * time.Hour),
				}
				must(t, "set event "+string(event.ID)+" aside", queue.SetAside(bounded(t), name, event, want.Failure))
				checkEqual(t, "dead letter "+string(id)+" by SetAside", want, aside.awaitAccepted(2, id)[1])
			}
		}
	}},

	{"SetAside puts the event into no queue, and makes none", func(t testing.TB, q DeadLetterQueue) {
		main, in := consume(t, q.Events, accept), subscribe(t, q.Events, mail, accept)
		aside := drain(t, q, accept)
		queue := q.Queue()
		names := []string{"", mail, nowhere}
		for _, name := range names {
			must(t, "set event "+string(event(1).ID)+" aside", queue.SetAside(bounded(t), name, event(1), nthLetter(1).Failure))
			checkSubscription(t, aside.awaitAccepted(1, letterOf(event(1), name))[0], event(1), name)
		}
		if n, err := q.Subscription(nowhere).Depth(bounded(t)); !errors.Is(err, ports.ErrNotFound) {
			t.Errorf("after SetAside, Depth of a subscription without a queue returned %+v, error %v, want ErrNotFound", n, err)
		}
		time.Sleep(quiet)
		for _, h := range append(main.got(), in.got()...) {
			t.Errorf("Consume delivered event %s, which SetAside had set aside", h.item.Event.ID)
		}
	}},

	{"SetAside refuses an event that consumers could not read, and names it", func(t testing.TB, q DeadLetterQueue) {
		aside := drain(t, q, accept)
		queue := q.Queue()
		for fault, bad := range unpublishable() {
			checkRefusal(t, fault, bad, queue.SetAside(bounded(t), mail, bad, nthLetter(1).Failure))
		}
		time.Sleep(quiet)
		for _, h := range aside.got() {
			t.Errorf("%s became a dead letter, although SetAside refused it", h.item.ID)
		}
	}},

	{"SetAside with an ended context returns its error, and sets nothing aside", func(t testing.TB, q DeadLetterQueue) {
		queue := q.Queue()
		checkEnded(t, "SetAside", func(ctx context.Context) error { return queue.SetAside(ctx, mail, event(1), nthLetter(1).Failure) })
		aside := drain(t, q, accept)
		time.Sleep(quiet)
		for _, h := range aside.got() {
			t.Errorf("%s became a dead letter, although SetAside failed", h.item.ID)
		}
	}},
}
