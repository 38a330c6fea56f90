package rabbitmq_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/adapters/rabbitmq"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

const mail = "mail"

// declareSubscription makes the subscription's queue exist, without a consumer.
func declareSubscription(t testing.TB, url string, topology rabbitmq.Topology) {
	t.Helper()
	consumer := open(t, url, topology).Subscription(mail)
	stop := consume(t, consumer, handleNothing)
	awaitConsuming(t, consumer)
	stop()
}

func TestSubscriptionThatRabbitMQCanNotHave(t *testing.T) {
	for name, topology := range map[string]rabbitmq.Topology{
		"dead-letter":           {},
		"mail.retry.1s":         {},
		"no mail":               {},
		strings.Repeat("m", 32): {Queue: strings.Repeat("q", 220)},
	} {
		t.Run(name, func(t *testing.T) {
			broker := open(t, "amqp://nowhere.invalid/", topology)
			consumer, queue := broker.Subscription(name), broker.DeadLetterQueue()
			_, depth := consumer.Depth(t.Context())
			for call, err := range map[string]error{
				"Consume": consumer.Consume(t.Context(), handleNothing), "Ping": consumer.Ping(t.Context()), "Depth": depth,
				"Replay":        queue.Replay(t.Context(), ports.DeadLetter{ID: "l", Subscription: name}),
				"SetAside":      queue.SetAside(t.Context(), name, newEvent(t), ports.Failure{}),
				"CheckPolicies": rabbitmq.CheckPolicies(t.Context(), "http://nowhere.invalid", "amqp://nowhere.invalid/", topology, name),
			} {
				var invalid *rabbitmq.InvalidTopologyError
				if !errors.As(err, &invalid) || errors.Is(err, ports.ErrUnavailable) {
					t.Errorf("%s: error %v, want an InvalidTopologyError", call, err)
				}
			}
		})
	}
}

func TestDeleteCommand(t *testing.T) {
	for url, want := range map[string]string{
		"amqp://nowhere.invalid/":            "rabbitmqctl delete_queue --vhost '/' 'order_created.mail'",
		"amqp://u:hunter2@h.invalid/my%20vh": "rabbitmqctl delete_queue --vhost 'my vh' 'order_created.mail'",
	} {
		if got := open(t, url, rabbitmq.Topology{}).Subscription(mail).DeleteCommand(); got != want {
			t.Errorf("%s: got %s, want %s", url, got, want)
		}
	}
}

func TestSubscriptionIsTheSamePart(t *testing.T) {
	broker := open(t, "amqp://nowhere.invalid/", rabbitmq.Topology{})
	part := broker.Subscription(mail)
	if part != broker.Subscription(mail) || part == broker.Consumer() || broker.Subscription("") != broker.Consumer() {
		t.Error("Subscription returns another part each time, or the main queue's")
	}
}

// The broker sets a message aside after 21 crashes. The letter belongs to the
// subscription from whose queue it came.
func TestPoisonOfASubscription(t *testing.T) {
	topology := newTopology(t)
	deleteSubscription(t, topology, mail)
	declareSubscription(t, brokerURL(t), topology)
	event := newEvent(t)
	publish(t, newPublisher(t, brokerURL(t), topology), event)
	eventually(t, "the message is set aside", func() bool {
		ch := openChannel(t)
		defer ch.Close()
		if _, _, err := ch.Get(topology.Queue+"."+mail, false); err != nil {
			t.Fatal(err)
		}
		return messages(t, deadLetters(topology)) == 1
	})
	queue := newDeadLetterQueue(t, brokerURL(t), topology)
	box := letterbox{fail: func(nth int) error {
		if nth == 1 { // it is published again, and must stay the subscription's
			return errors.New("the store is unreachable")
		}
		return nil
	}}
	drain(t, queue, box.keep)
	letters := box.await(t, 2)
	if diff := cmp.Diff(letters[0], letters[1]); diff != "" {
		t.Errorf("at the next reading (-first +next):\n%s", diff)
	}
	letter := letters[0]
	if letter.ID != string(event.ID)+"."+mail || letter.Subscription != mail || letter.Failure.Attempts != 21 {
		t.Errorf("dead letter %s of subscription %q after %d attempts, want event %s of %q after 21", letter.ID, letter.Subscription, letter.Failure.Attempts, event.ID, mail)
	}
	if err := queue.Replay(bounded(t, patience), letter); err != nil {
		t.Fatal(err)
	}
	if n := messages(t, topology.Queue+"."+mail); n != 1 {
		t.Errorf("%d messages in the subscription's queue after the replay, want 1", n)
	}
	if n := messages(t, topology.Queue); n != 1 {
		t.Errorf("%d messages in the main queue after the replay, want only the published one", n)
	}
}

// One of two letters of an event can't be replayed. That must not fail the other, nor
// be taken for a success, although both messages have the same id.
func TestReplayToAQueueThatDoesNotExist(t *testing.T) {
	topology := newTopology(t)
	declareTopology(t, brokerURL(t), topology)
	var log logBuffer
	queue := newDeadLetterQueue(t, brokerURL(t), topology, logInto(&log))
	const count = 100
	var calls sync.WaitGroup
	for range count {
		calls.Go(func() {
			if err := queue.Replay(bounded(t, patience), ports.DeadLetter{ID: "l", Message: ports.Message{ID: "m"}}); err != nil {
				t.Errorf("to the main queue: %v", err)
			}
		})
		calls.Go(func() {
			err := queue.Replay(bounded(t, patience), ports.DeadLetter{ID: "l.mail", Subscription: mail, Message: ports.Message{ID: "m"}})
			if want := `queue "` + topology.Queue + `.mail" does not exist`; !errors.Is(err, ports.ErrUnavailable) || !strings.Contains(err.Error(), want) {
				t.Errorf("to no queue: error %v, want ErrUnavailable with %q", err, want)
			}
		})
	}
	calls.Wait()
	if n := messages(t, topology.Queue); n != count {
		t.Errorf("%d messages in the main queue, want %d", n, count)
	}
	if n := log.count("connected to the broker"); n != 1 {
		t.Errorf("%d lines about connections, want 1:\n%s", n, &log)
	}
}

// Depth changes nothing on the broker, not even for the main queue.
func TestDepthDeclaresNothing(t *testing.T) {
	t.Parallel()
	v := newVhost(t)
	broker := open(t, v.url, usual)
	check := func(consumer *rabbitmq.Consumer, want error) {
		t.Helper()
		if _, err := consumer.Depth(bounded(t, patience)); !errors.Is(err, want) {
			t.Errorf("error %v, want %v", err, want)
		}
	}
	for range 2 {
		check(broker.Consumer(), ports.ErrNotFound)
		check(broker.Subscription(mail), ports.ErrNotFound)
	}
	declareTopology(t, v.url, usual)
	check(broker.Consumer(), nil)
	v.permit("", "", "")
	if _, err := broker.Consumer().Depth(bounded(t, patience)); err != nil && !errors.Is(err, ports.ErrRefused) { // RabbitMQ 3.10 answers anybody
		t.Errorf("without permissions: error %v, want none or ErrRefused", err)
	}
}

func TestSubscriptionPrefetch(t *testing.T) {
	topology := newTopology(t)
	deleteSubscription(t, topology, mail)
	declareSubscription(t, brokerURL(t), topology)
	publish(t, newPublisher(t, brokerURL(t), topology), newEvents(t, 10)...)
	broker := open(t, brokerURL(t), topology, func(o *rabbitmq.Options) {
		o.Prefetch, o.SubscriptionPrefetch = 4, map[string]int{mail: 3}
	})
	end := make(chan struct{})
	hold := func(context.Context, ports.Delivery) error {
		<-end
		return nil
	}
	consume(t, broker.Consumer(), hold)
	consume(t, broker.Subscription(mail), hold)
	defer close(end)
	eventually(t, "the main queue's consumer has 4 of 10 events", func() bool { return messages(t, topology.Queue) == 6 })
	eventually(t, "the subscription's consumer has 3 of 10 events", func() bool { return messages(t, topology.Queue+"."+mail) == 7 })
}

// The permissions in the package comment are enough for a subscription's consumer. It
// also needs those to bind its queue.
func TestRightsOfASubscription(t *testing.T) {
	t.Parallel()
	v := newVhost(t)
	declareSubscription(t, v.url, usual)
	admin := open(t, v.url, usual)
	other := *v
	other.user = v.name + ".mailer"
	v.put("users/"+other.user, map[string]any{"password": "pässword", "tags": ""})
	t.Cleanup(func() { v.delete("users/" + other.user) })
	url := strings.Replace(v.url, v.user, other.user, 1)

	other.permit("", `^(order_created\.dead-letter|amq\.default)$`, `^order_created\.mail$`)
	err := open(t, url, usual).Subscription(mail).Consume(bounded(t, patience), handleNothing)
	if !errors.Is(err, ports.ErrRefused) || !strings.Contains(err.Error(), `bind queue "order_created.mail"`) {
		t.Errorf("error %v, want ErrRefused to bind the queue", err)
	}

	other.permit("", `^(order_created\.(dead-letter|mail)|amq\.default)$`, `^(orders|order_created\.mail)$`)
	var mu sync.Mutex
	var attempts []int
	got := make(chan domain.Event, 10)
	consume(t, open(t, url, usual).Subscription(mail), func(ctx context.Context, d ports.Delivery) error {
		mu.Lock()
		defer mu.Unlock()
		if attempts = append(attempts, d.Attempt); d.Attempt < 3 {
			return errors.New("not yet")
		}
		return handInto(got)(ctx, d)
	})
	event := newEvent(t)
	publish(t, admin.Publisher(), event)
	await(t, got, event)
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(attempts, []int{1, 2, 3}) {
		t.Errorf("attempts %v, want 1 to 3", attempts)
	}
}

func TestPoliciesOfASubscription(t *testing.T) {
	t.Parallel()
	v := newVhost(t)
	v.put("policies/"+v.name+"/theirs", map[string]any{"pattern": `\.mail`, "apply-to": "queues", "definition": map[string]any{"expires": 86_400_000}})
	declareSubscription(t, v.url, usual)
	if err := rabbitmq.CheckPolicies(bounded(t, 3*patience), v.api, v.url, usual); err != nil {
		t.Errorf("without the subscription: %v", err)
	}
	err := rabbitmq.CheckPolicies(bounded(t, 3*patience), v.api, v.url, usual, mail, "elsewhere")
	var policies *rabbitmq.PolicyError
	if !errors.As(err, &policies) {
		t.Fatalf("error %v, want a PolicyError", err)
	}
	want := []string{"order_created.mail", "order_created.mail.retry.50ms", "order_created.mail.retry.100ms"}
	if diff := cmp.Diff(want, policies.Faults[0].Queues); diff != "" {
		t.Errorf("queues (-want +got):\n%s", diff)
	}
}

// A deleted queue of one subscription, and messages on their way to it, hold up no
// other subscription.
func TestDeletedSubscription(t *testing.T) {
	topology := newTopology(t)
	const gone = "gone"
	deleteSubscription(t, topology, mail)
	deleteSubscription(t, topology, gone)
	broker := open(t, brokerURL(t), topology)
	failing := make(chan struct{}, 1000)
	stop := consume(t, broker.Subscription(gone), func(context.Context, ports.Delivery) error {
		failing <- struct{}{}
		return errors.New("not yet")
	})
	awaitConsuming(t, broker.Subscription(gone))
	publish(t, broker.Publisher(), newEvents(t, 60)...) // more than the broker dead-letters at once
	for range 60 {
		receive(t, failing)
	}
	stop()
	if _, err := openChannel(t).QueueDelete(topology.Queue+"."+gone, false, false, false); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond) // longer than the delays

	var log attemptLog
	consume(t, broker.Subscription(mail), log.failFirst)
	awaitConsuming(t, broker.Subscription(mail))
	publish(t, broker.Publisher(), newEvent(t))
	eventually(t, "the other subscription's event comes again", func() bool { return slices.Equal(log.got(), []int{1, 2}) })
}
