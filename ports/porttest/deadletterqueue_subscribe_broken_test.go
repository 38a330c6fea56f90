package porttest_test

import (
	"context"
	"errors"
	"strings"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

func brokenLettersOfSubscriptions() []broken[porttest.DeadLetterQueue] {
	const (
		two   = "an event that two queues set aside becomes two dead letters, each with its subscription"
		alone = "a replayed dead letter is delivered to its subscription alone, at the first attempt"
		again = "a replayed dead letter of a subscription that fails again is the same dead letter"
		none  = "Replay returns ErrUnavailable when the subscription's queue does not exist, and makes none"
		every = "every clause that looks at a subscription's dead letters"
	)
	return []broken[porttest.DeadLetterQueue]{
		{"dead letters do not name their subscription", two, every, showing(func(letter *ports.DeadLetter) { letter.Subscription = "" })},
		{"dead letters of one event have one id", two, every, showing(func(letter *ports.DeadLetter) {
			letter.ID = strings.TrimSuffix(letter.ID, "."+letter.Subscription)
		})},
		{"Replay replays to the main queue", alone, every, replaying(func(b *faultyBroker, ctx context.Context, letter ports.DeadLetter) error {
			letter.Subscription = ""
			return b.DeadLetterQueue().Replay(ctx, letter)
		})},
		{"Replay replays to each queue", alone, "", replaying(func(b *faultyBroker, ctx context.Context, letter ports.DeadLetter) error {
			err := b.DeadLetterQueue().Replay(ctx, letter)
			for _, name := range []string{"", "mail", "webhook"} {
				if name != letter.Subscription && err == nil {
					letter.Subscription = name
					b.DeadLetterQueue().Replay(ctx, letter)
				}
			}
			return err
		})},
		{"a subscription's dead letter has another message after its replay", again, "", replaying(func(b *faultyBroker, ctx context.Context, letter ports.DeadLetter) error {
			if letter.Subscription != "" {
				letter.Message.ID += "-replayed"
			}
			return b.DeadLetterQueue().Replay(ctx, letter)
		})},
		{"Replay to a queue that does not exist succeeds", none, "", replaying(func(b *faultyBroker, ctx context.Context, letter ports.DeadLetter) error {
			err := b.DeadLetterQueue().Replay(ctx, letter)
			if errors.Is(err, ports.ErrUnavailable) {
				return nil
			}
			return err
		})},
		{"Replay makes the queue", none, "", replaying(func(b *faultyBroker, ctx context.Context, letter ports.DeadLetter) error {
			err := b.DeadLetterQueue().Replay(ctx, letter)
			if errors.Is(err, ports.ErrUnavailable) {
				b.Subscription(letter.Subscription).Ping(ctx)
			}
			return err
		})},
	}
}

// settingAside makes a broker with another SetAside.
func settingAside(aside func(b *faultyBroker, ctx context.Context, subscription string, event domain.Event, failure ports.Failure) error) func() porttest.DeadLetterQueue {
	return faultyQueue(func(b *faultyBroker) {
		b.aside = func(ctx context.Context, subscription string, event domain.Event, failure ports.Failure) error {
			return aside(b, ctx, subscription, event, failure)
		}
	})
}

func brokenSetAsideCalls() []broken[porttest.DeadLetterQueue] {
	const (
		same   = "SetAside makes the dead letter that the subscription's consumer would have made"
		none   = "SetAside puts the event into no queue, and makes none"
		refuse = "SetAside refuses an event that consumers could not read, and names it"
		ended  = "SetAside with an ended context returns its error, and sets nothing aside"
		every  = "every clause that calls SetAside"
	)
	return []broken[porttest.DeadLetterQueue]{
		{"SetAside does nothing", same, every, settingAside(func(_ *faultyBroker, ctx context.Context, _ string, _ domain.Event, _ ports.Failure) error {
			return ctx.Err()
		})},
		{"SetAside makes a dead letter of the main queue", same, every, settingAside(func(b *faultyBroker, ctx context.Context, _ string, event domain.Event, failure ports.Failure) error {
			return b.DeadLetterQueue().SetAside(ctx, "", event, failure)
		})},
		{"SetAside counts one more attempt", same, "", settingAside(func(b *faultyBroker, ctx context.Context, subscription string, event domain.Event, failure ports.Failure) error {
			failure.Attempts++
			return b.DeadLetterQueue().SetAside(ctx, subscription, event, failure)
		})},
		{"SetAside takes the present time", same, "", settingAside(func(b *faultyBroker, ctx context.Context, subscription string, event domain.Event, failure ports.Failure) error {
			failure.LastFailure = time.Now()
			return b.DeadLetterQueue().SetAside(ctx, subscription, event, failure)
		})},
		{"SetAside takes the order's time for the event's", same, "", settingAside(func(b *faultyBroker, ctx context.Context, subscription string, event domain.Event, failure ports.Failure) error {
			if !event.Time.IsZero() {
				event.Time = event.Order.CreatedAt
			}
			return b.DeadLetterQueue().SetAside(ctx, subscription, event, failure)
		})},
		{"SetAside also publishes", none, "consumers reject the event in another clause", settingAside(func(b *faultyBroker, ctx context.Context, subscription string, event domain.Event, failure ports.Failure) error {
			err := b.DeadLetterQueue().SetAside(ctx, subscription, event, failure)
			if err == nil {
				b.Publisher().Publish(ctx, event)
			}
			return err
		})},
		{"SetAside makes the queue", none, "", settingAside(func(b *faultyBroker, ctx context.Context, subscription string, event domain.Event, failure ports.Failure) error {
			b.Subscription(subscription).Ping(ctx)
			return b.DeadLetterQueue().SetAside(ctx, subscription, event, failure)
		})},
		{"SetAside takes every event", refuse, "", settingAside(func(b *faultyBroker, ctx context.Context, subscription string, event domain.Event, failure ports.Failure) error {
			if err := b.DeadLetterQueue().SetAside(ctx, subscription, event, failure); err == nil || ctx.Err() != nil {
				return err
			}
			return nil
		})},
		{"SetAside sets a refused event's order aside", refuse, "", settingAside(func(b *faultyBroker, ctx context.Context, subscription string, event domain.Event, failure ports.Failure) error {
			err := b.DeadLetterQueue().SetAside(ctx, subscription, event, failure)
			if err != nil && ctx.Err() == nil {
				b.DeadLetterQueue().SetAside(ctx, subscription, event.Order.Created(), failure)
			}
			return err
		})},
		{"SetAside ignores its context", ended, "", faultyQueue(func(b *faultyBroker) { ignoreContext(&b.aside) })},
		{"SetAside sets aside and then fails on an ended context", ended, "", faultyQueue(func(b *faultyBroker) { checkContextLast(&b.aside) })},
	}
}
