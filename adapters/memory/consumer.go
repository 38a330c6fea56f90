package memory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/orderflow/adapters/internal/dispatch"
	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// Consume implements [ports.EventConsumer].
func (c Consumer) Consume(ctx context.Context, handle ports.Handler) error {
	b := c.broker
	if handle == nil {
		return errors.New("consume events: the handler is nil")
	}
	q, err := b.declare(c.subscription)
	if err != nil {
		return fmt.Errorf("consume events: %w", err)
	}
	defer q.consume()()
	var handlers dispatch.Group
	defer handlers.Wait()
	slots := make(chan struct{}, c.prefetch())
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		m, ok := q.take(ctx)
		if !ok {
			return nil
		}
		event, err := wire.Decode(m.Message)
		if err != nil {
			c.setAside(m, err)
			q.finish()
			<-slots
			continue
		}
		handlers.Go(event.Order.ID, func() {
			defer func() { <-slots }()
			if ctx.Err() != nil { // ended while it waited for an earlier event of its order
				q.giveBack(m)
				return
			}
			c.handle(ctx, q, handle, m, event)
		})
	}
}

// prefetch returns the most events that a call of Consume handles at once.
func (c Consumer) prefetch() int {
	return dispatch.Prefetch(c.broker.SubscriptionPrefetch[c.subscription], c.broker.Prefetch)
}

func (c Consumer) handle(ctx context.Context, q *queue[message], handle ports.Handler, m message, event domain.Event) {
	b := c.broker
	delays := b.Delays
	if len(delays) == 0 {
		delays = dispatch.DefaultDelays()
	}
	err := b.limits().Call(ctx, func(ctx context.Context) error {
		return handle(ctx, ports.Delivery{Event: event, Attempt: m.attempt})
	})
	if err == nil {
		q.finish()
		return
	}
	if ports.IsPostponed(err) { // the handler logs its own outage
		b.log().Debug("event is postponed", "event_id", event.ID, "attempts", m.attempt-1, "again_in", delays[0].String(), "reason", err)
		time.AfterFunc(delays[0], q.delay(m))
		return
	}
	m.firstFailure = cmp.Or(m.firstFailure, now())
	if ports.IsPermanent(err) || m.attempt > len(delays) {
		c.setAside(m, err)
		q.finish()
		return
	}
	delay := delays[m.attempt-1]
	b.log().Warn("attempt failed; the event comes again", "event_id", event.ID, "attempts", m.attempt, "again_in", delay.String(), "reason", err)
	m.attempt++
	time.AfterFunc(delay, q.delay(m))
}

// Ping makes the queue if it does not exist: no server has to answer.
func (c Consumer) Ping(context.Context) error {
	_, err := c.broker.declare(c.subscription)
	return err
}
