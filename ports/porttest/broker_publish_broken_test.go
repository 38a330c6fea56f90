package porttest_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

// publishing makes a broker with another Publish.
func publishing(publish func(b *faultyBroker, ctx context.Context, events []domain.Event) []error) func() porttest.Events {
	return faultyEvents(func(b *faultyBroker) {
		b.publish = func(ctx context.Context, events ...domain.Event) []error { return publish(b, ctx, events) }
	})
}

// publishingAs makes a broker whose Publish changes each event.
func publishingAs(change func(event *domain.Event)) func() porttest.Events {
	return publishing(func(b *faultyBroker, ctx context.Context, events []domain.Event) []error {
		events = slices.Clone(events)
		for i := range events {
			change(&events[i])
		}
		return b.Publisher().Publish(ctx, events...)
	})
}

func brokenPublishers() []broken[porttest.Events] {
	const (
		every      = "Publish keeps every event of a call"
		fields     = "a published event is delivered with every field as it was"
		none       = "Publish of no events returns no errors"
		unreadable = "Publish refuses an event that consumers could not read, and names it"
		answers    = "Publish returns one error for each event, in order"
		others     = "Publish publishes the other events of a call in which it refuses one"
		memory     = "Publish shares no memory with its caller"
		several    = "other clauses publish several events"
		unseen     = "it sees a refusal too late"
		origins    = "a published event is delivered with its origin, without the fields that break a rule"

		fieldsElsewhere = "every clause that looks at the events"
	)
	return []broken[porttest.Events]{
		{"Publish keeps only the first of a call", every, several, publishing(func(b *faultyBroker, ctx context.Context, events []domain.Event) []error {
			return keepingUpTo(1, b, ctx, events)
		})},
		{"Publish keeps a hundred of a call at most", every, "", publishing(func(b *faultyBroker, ctx context.Context, events []domain.Event) []error {
			return keepingUpTo(100, b, ctx, events)
		})},
		{"Publish of nothing fails", none, "", publishing(func(b *faultyBroker, ctx context.Context, events []domain.Event) []error {
			if len(events) == 0 {
				return []error{errors.New("publish: no events")}
			}
			return b.Publisher().Publish(ctx, events...)
		})},
		{"Publish of nothing returns an error of nil", none, "", publishing(func(b *faultyBroker, ctx context.Context, events []domain.Event) []error {
			if len(events) == 0 {
				return []error{nil}
			}
			return b.Publisher().Publish(ctx, events...)
		})},
		{"Publish loses the events of concurrent calls", "Publish may be called from several goroutines at once", "", faultyEvents(func(b *faultyBroker) {
			var busy sync.Mutex
			b.publish = func(ctx context.Context, events ...domain.Event) []error {
				if !busy.TryLock() {
					return forAll(ctx.Err(), events)
				}
				defer busy.Unlock()
				time.Sleep(time.Millisecond)
				return b.Publisher().Publish(ctx, events...)
			}
		})},
		{"Publish returns and then sends, while its context lives", "Publish keeps the events although its context ends afterwards", unseen, publishing(func(b *faultyBroker, ctx context.Context, events []domain.Event) []error {
			events = slices.Clone(events)
			time.AfterFunc(10*time.Millisecond, func() { b.Publisher().Publish(ctx, events...) })
			return forAll(ctx.Err(), events)
		})},
		{"Publish keeps the slice until somebody consumes", memory, unseen, faultyEvents(func(b *faultyBroker) {
			var mu sync.Mutex
			var kept []domain.Event
			consuming := false
			b.publish = func(ctx context.Context, events ...domain.Event) []error {
				mu.Lock()
				defer mu.Unlock()
				if consuming || len(kept) > 0 || ctx.Err() != nil {
					return b.Publisher().Publish(ctx, events...)
				}
				kept = events
				return forAll(nil, events)
			}
			b.consume.call = func(ctx context.Context, h handle[ports.Delivery]) error {
				mu.Lock()
				consuming = true
				err := errors.Join(b.Publisher().Publish(context.WithoutCancel(ctx), kept...)...)
				kept = nil
				mu.Unlock()
				return errors.Join(err, b.Consumer().Consume(ctx, h))
			}
		})},
		{"Publish ignores its context", "Publish with an ended context returns its error", "", faultyEvents(func(b *faultyBroker) { ignoreContext(&b.publish) })},
		{"events lose the space around a text", fields, "", publishingAs(func(event *domain.Event) {
			event.Order.UserID = strings.TrimSpace(event.Order.UserID)
		})},
		{"events lose their origin", origins, fieldsElsewhere, publishingAs(func(event *domain.Event) { event.Origin = domain.Origin{} })},
		{"events lose their trace's state", origins, fieldsElsewhere, publishingAs(func(event *domain.Event) { event.Origin.TraceState = "" })},
		{"Publish refuses an origin that breaks a rule", origins, "", publishing(func(b *faultyBroker, ctx context.Context, events []domain.Event) []error {
			for _, event := range events {
				if event.Origin != event.Origin.Valid() {
					return forAll(errors.New("its origin breaks a rule"), events)
				}
			}
			return b.Publisher().Publish(ctx, events...)
		})},
		{"events get their order's time", fields, "events of one order differ in their time", publishingAs(func(event *domain.Event) {
			event.Time = event.Order.CreatedAt
		})},
		{"the broker keeps nothing while nobody consumes", "the broker keeps what is published while nobody consumes", "other clauses publish before they consume", faultyEvents(func(b *faultyBroker) {
			var consumers atomic.Int32
			b.publish = func(ctx context.Context, events ...domain.Event) []error {
				time.Sleep(time.Millisecond)
				if consumers.Load() == 0 {
					return forAll(ctx.Err(), events)
				}
				return b.Publisher().Publish(ctx, events...)
			}
			b.consume.call = func(ctx context.Context, h handle[ports.Delivery]) error {
				consumers.Add(1)
				defer consumers.Add(-1)
				return b.Consumer().Consume(ctx, h)
			}
		})},
		{"Publish takes events of every type", unreadable, "every clause that looks at a refusal", publishingAs(func(event *domain.Event) { event.Type = domain.OrderCreated })},

		{"Publish names the first event of a call instead of the refused one", unreadable, "", publishing(func(b *faultyBroker, ctx context.Context, events []domain.Event) []error {
			errs := b.Publisher().Publish(ctx, events...)
			for i := range errs {
				if errs[i] != nil {
					errs[i] = cmp.Or(ctx.Err(), fmt.Errorf("publish event %s of type %s", events[0].ID, events[0].Type))
				}
			}
			return errs
		})},
		{"Publish returns one error for all events", answers, "events around a refused one are refused too", publishing(func(b *faultyBroker, ctx context.Context, events []domain.Event) []error {
			return forAll(errors.Join(b.Publisher().Publish(ctx, events...)...), events)
		})},
		{"Publish returns no errors for the events that it publishes", answers, "every clause that counts errors", publishing(func(b *faultyBroker, ctx context.Context, events []domain.Event) []error {
			return slices.DeleteFunc(b.Publisher().Publish(ctx, events...), func(err error) bool { return err == nil })
		})},
		{"Publish returns its errors in another order", answers, "a refused event gets the error of another", publishing(func(b *faultyBroker, ctx context.Context, events []domain.Event) []error {
			errs := b.Publisher().Publish(ctx, events...)
			slices.Reverse(errs)
			return errs
		})},
		{"Publish omits the events after a refused one, and returns nil for them", others, "a second refused event gets no error", publishing(func(b *faultyBroker, ctx context.Context, events []domain.Event) []error {
			errs := forAll(ctx.Err(), events)
			for i, event := range events {
				if errs[i] = b.Publisher().Publish(ctx, event)[0]; errs[i] != nil {
					break
				}
			}
			return errs
		})},
	}
}

// keepingUpTo publishes the first count events.
func keepingUpTo(count int, b *faultyBroker, ctx context.Context, events []domain.Event) []error {
	kept := b.Publisher().Publish(ctx, events[:min(count, len(events))]...)
	return append(kept, forAll(ctx.Err(), events[len(kept):])...)
}

// forAll returns the same error for each event.
func forAll(err error, events []domain.Event) []error {
	return slices.Repeat([]error{err}, len(events))
}
