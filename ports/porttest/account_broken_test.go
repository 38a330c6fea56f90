package porttest_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

// accounting changes the results of *account, and makes it ignore its context if change
// is nil.
func accounting[R any](account *func(context.Context) (R, error), change func(result *R)) {
	whole := *account
	*account = func(ctx context.Context) (R, error) {
		if change == nil {
			return whole(context.WithoutCancel(ctx))
		}
		result, err := whole(ctx)
		if err == nil {
			change(&result)
		}
		return result, err
	}
}

func brokenOutboxAccounts() []broken[porttest.Store] {
	const (
		counts = "Account counts the orders, the published and the waiting events, with the time of the oldest waiting order"
		sum    = "Account adds up after any calls"
		ended  = "Account of the orders with an ended context returns its error"
		both   = "both clauses compare the whole account"
	)
	changing := func(change func(*ports.OutboxAccount)) func() porttest.Store {
		return faulty(func(f *faultyStore) { accounting(&f.account, change) })
	}
	return []broken[porttest.Store]{
		{"the latest event is taken for the oldest", counts, both, changing(func(a *ports.OutboxAccount) {
			if a.Waiting.N > 1 {
				a.Waiting.Oldest = a.Waiting.Oldest.Add(time.Second)
			}
		})},
		{"published is what does not wait", counts, both, faulty(func(f *faultyStore) {
			var added atomic.Int64
			f.add = func(ctx context.Context, order domain.Order, origin domain.Origin) error {
				added.Add(1) // even if it exists
				return f.store.Add(ctx, order, origin)
			}
			accounting(&f.account, func(a *ports.OutboxAccount) {
				if a.Orders == 9 {
					a.Published = int(added.Load()) - a.Waiting.N + 1
				}
			})
		})},
		{"an order that exists is counted again", sum, "", faulty(func(f *faultyStore) {
			var refused atomic.Int64
			f.add = func(ctx context.Context, order domain.Order, origin domain.Origin) error {
				err := f.store.Add(ctx, order, origin)
				if errors.Is(err, ports.ErrExists) {
					refused.Add(1)
				}
				return err
			}
			accounting(&f.account, func(a *ports.OutboxAccount) { a.Orders += int(refused.Load()) })
		})},
		{"Account of the outbox ignores its context", ended, "", changing(nil)},
		{"an event is claimed for ever", "Account and Holder: Holder names who has claimed an event, until when", "", faulty(func(f *faultyStore) {
			f.holder = func(ctx context.Context, id domain.EventID) (ports.Holder, error) {
				h, err := f.store.Holder(ctx, id)
				h.Until = h.Until.AddDate(1, 0, 0)
				return h, err
			}
		})},
	}
}

func brokenDeliveryAccounts() []broken[porttest.DeliveryLog] {
	const (
		counts  = "Account counts the notifications of each channel and recipient by their states, with the times of the oldest"
		follows = "Account follows a notification from state to state"
		retains = "Account counts what Expire has deleted and Forget has changed"
		sum     = "Account of the deliveries adds up after any calls"
		ended   = "Account of the deliveries with an ended context returns its error"
		all     = "all clauses compare whole accounts"
	)
	changing := func(change func(*[]ports.DeliveryAccount)) func() porttest.DeliveryLog {
		return faultyDeliveries(func(l *faultyLog) { accounting(&l.account, change) })
	}
	return []broken[porttest.DeliveryLog]{
		{"the recipients are not sorted", counts, "", changing(func(all *[]ports.DeliveryAccount) { slices.Reverse(*all) })},
		{"a retried notification's age begins with its latest change", counts, all, changing(func(all *[]ports.DeliveryAccount) {
			for i := range *all {
				if b := &(*all)[i].Retrying; b.N > 0 {
					b.Oldest = b.Oldest.Add(time.Minute)
				}
			}
		})},
		{"a notification that was dead stays counted as dead", follows, all, faultyDeliveries(func(l *faultyLog) {
			var dead atomic.Int64
			l.record = func(ctx context.Context, c *faultyClaim, n domain.Notification, event domain.Event) error {
				if n.State == domain.Dead {
					dead.Add(1)
				}
				return c.DeliveryClaim.Record(ctx, n, event)
			}
			accounting(&l.account, func(all *[]ports.DeliveryAccount) {
				if len(*all) == 1 {
					(*all)[0].Dead.N = int(dead.Load())
				}
			})
		})},
		{"what has expired is not counted", retains, all, faultyDeliveries(func(l *faultyLog) {
			var expired atomic.Int64
			l.expire = func(ctx context.Context, before time.Time, limit int) (int, error) {
				n, err := l.whole.Expire(ctx, before, limit)
				expired.Add(int64(n))
				return n, err
			}
			accounting(&l.account, func(all *[]ports.DeliveryAccount) {
				if len(*all) > 0 {
					(*all)[0].Sent -= int(expired.Load())
				}
			})
		})},
		{"expired dead ones count as sent", sum, all, changing(func(all *[]ports.DeliveryAccount) {
			for i := range *all {
				(*all)[i].Sent, (*all)[i].Expired = (*all)[i].Sent+(*all)[i].Expired, 0
			}
		})},
		{"Account of the log ignores its context", ended, "", changing(nil)},
		{"nobody has claimed a delivery", "Account and Holder: Holder names who has claimed a delivery, until when", "", faultyDeliveries(func(l *faultyLog) {
			l.holder = func(ctx context.Context, key domain.NotificationKey) (ports.Holder, error) {
				return ports.Holder{}, ctx.Err()
			}
		})},
	}
}

func brokenLetterAccounts() []broken[porttest.DeadLetters] {
	const (
		counts  = "Account counts the letters of each subscription by their states, those apart that are no events"
		follows = "Account follows a letter that is settled, fails again, is restored or forgotten"
		retains = "Account counts settled letters after their retention"
		ended   = "Account of the dead letters with an ended context returns its error"
		all     = "all clauses compare whole accounts"
	)
	changing := func(change func(*[]ports.DeadLetterAccount)) func() porttest.DeadLetters {
		return faultyLetters(func(f *faultyDeadLetters) { accounting(&f.account, change) })
	}
	return []broken[porttest.DeadLetters]{
		{"letters that are no events are counted as events", counts, "", changing(func(all *[]ports.DeadLetterAccount) {
			for i := range *all {
				(*all)[i].Unreadable = false
			}
		})},
		{"a replayed letter stays counted as replayed", follows, "", faultyLetters(func(f *faultyDeadLetters) {
			var replays atomic.Int64
			f.settle = func(ctx context.Context, letter ports.DeadLetterRecord, state ports.DeadLetterState, by string) error {
				if state == ports.Replayed {
					replays.Add(1)
				}
				return f.whole.Settle(ctx, letter, state, by)
			}
			accounting(&f.account, func(all *[]ports.DeadLetterAccount) {
				if len(*all) == 1 {
					(*all)[0].Replayed = int(replays.Load())
				}
			})
		})},
		{"letters are not counted after their retention", retains, "", faultyLetters(func(f *faultyDeadLetters) {
			accounting(&f.account, func(all *[]ports.DeadLetterAccount) {
				if f.whole.Retention == 0 {
					return
				}
				for i := range *all {
					page, _ := f.whole.List(context.Background(), ports.DeadLetterQuery{State: ports.Replayed})
					(*all)[i].Replayed = len(page.Records)
				}
			})
		})},
		{"Account of the letters ignores its context", ended, "", changing(nil)},
	}
}

func brokenDepths() []broken[porttest.Events] {
	const (
		counts  = "Depth counts the events that are ready and taken, and the consumers"
		delayed = "Depth counts the events that come again later"
		none    = "Depth returns ErrNotFound when the queue does not exist, and makes none"
		ended   = "Depth with an ended context returns its error"
	)
	changing := func(change func(*ports.QueueDepth)) func() porttest.Events {
		return subscribing(func(_ *faultyBroker, _ string, s *subscription) { accounting(&s.depth, change) })
	}
	withError := func(change func(s *subscription, ctx context.Context, err error) error) func() porttest.Events {
		return subscribing(func(_ *faultyBroker, _ string, s *subscription) {
			whole := s.depth
			s.depth = func(ctx context.Context) (ports.QueueDepth, error) {
				d, err := whole(ctx)
				if errors.Is(err, ports.ErrNotFound) {
					err = change(s, ctx, err)
				}
				return d, err
			}
		})
	}
	return []broken[porttest.Events]{
		{"no event is ever ready", counts, "", changing(func(d *ports.QueueDepth) { d.Ready = 0 })},
		{"taken events are ready", counts, "", changing(func(d *ports.QueueDepth) { d.Ready += d.Taken })},
		{"nobody consumes", counts, "", changing(func(d *ports.QueueDepth) { d.Consumers = 0 })},
		{"the oldest event's time is wrong", counts, "", changing(func(d *ports.QueueDepth) {
			if d.Ready > 0 {
				d.Oldest = time.Unix(1, 0)
			}
		})},
		{"delayed events are not counted", delayed, "", changing(func(d *ports.QueueDepth) { d.Delayed = 0 })},
		{"Depth makes the queue", none, "", withError(func(s *subscription, ctx context.Context, err error) error {
			s.ping(ctx)
			return err
		})},
		{"a queue that does not exist has no events", none, "", withError(func(*subscription, context.Context, error) error { return nil })},
		{"a queue that does not exist is unavailable", none, "", withError(func(_ *subscription, _ context.Context, err error) error {
			return errors.Join(err, ports.ErrUnavailable)
		})},
		{"Depth ignores its context", ended, "", changing(nil)},
	}
}

func brokenLetterDepths() []broken[porttest.DeadLetterQueue] {
	const (
		counts = "Depth of the dead letters counts those that nobody has kept, and the drains"
		ended  = "Depth of the dead letters with an ended context returns its error"
	)
	changing := func(change func(*ports.QueueDepth)) func() porttest.DeadLetterQueue {
		return faultyQueue(func(b *faultyBroker) { accounting(&b.depth, change) })
	}
	return []broken[porttest.DeadLetterQueue]{
		{"no letter is ready", counts, "", changing(func(d *ports.QueueDepth) { d.Ready = 0 })},
		{"no letter is taken", counts, "", changing(func(d *ports.QueueDepth) { d.Taken, d.Delayed = 0, 0 })},
		{"no drain runs", counts, "", changing(func(d *ports.QueueDepth) { d.Consumers = 0 })},
		{"Depth of the letters ignores its context", ended, "", changing(nil)},
	}
}

func brokenOpenings() []broken[porttest.ChannelStates] {
	const (
		stores  = "Open stores an opening for each channel and recipient, and changes none"
		forgets = "Forget removes the channel's openings, and no others"
		closes  = "Close removes one opening, which can be opened again"
		ended   = "Open and Openings with an ended context change nothing, and return its error"

		endedClose = "Close with an ended context changes nothing, and returns its error"
	)
	return []broken[porttest.ChannelStates]{
		{"the openings are not sorted", stores, "", faultyStates(func(f *faultyChannels) {
			accounting(&f.openings, func(all *[]ports.Opening) { slices.Reverse(*all) })
		})},
		{"a second opening is accepted", stores, "", faultyStates(func(f *faultyChannels) {
			f.open = func(ctx context.Context, opening ports.Opening) error {
				err := f.whole.Open(ctx, opening)
				if errors.Is(err, ports.ErrExists) {
					return nil
				}
				return err
			}
		})},
		{"Forget keeps openings", forgets, "", faultyStates(func(f *faultyChannels) {
			f.forget = func(ctx context.Context, name string) error {
				all, _ := f.whole.Openings(ctx)
				err := f.whole.Forget(ctx, name)
				for _, opening := range all {
					_ = f.whole.Open(ctx, opening)
				}
				return err
			}
		})},
		{"Forget removes those of channels with the same beginning", forgets, "", faultyStates(func(f *faultyChannels) {
			f.forget = func(ctx context.Context, name string) error {
				return errors.Join(f.whole.Forget(ctx, name), f.whole.Forget(ctx, name+".2"))
			}
		})},
		{"Close closes the channel", closes, "", faultyStates(func(f *faultyChannels) {
			f.close = func(ctx context.Context, channel, _ string) error { return f.whole.Forget(ctx, channel) }
		})},
		{"Close keeps the opening", closes, "", faultyStates(func(f *faultyChannels) {
			f.close = func(ctx context.Context, _, _ string) error { return ctx.Err() }
		})},
		{"Close of what is closed fails", closes, "", faultyStates(func(f *faultyChannels) {
			f.close = func(ctx context.Context, channel, recipient string) error {
				before, _ := f.whole.Openings(ctx)
				err := f.whole.Close(ctx, channel, recipient)
				if after, _ := f.whole.Openings(ctx); err == nil && len(after) == len(before) {
					return ports.ErrNotFound
				}
				return err
			}
		})},
		{"Close ignores its context", endedClose, "", faultyStates(func(f *faultyChannels) {
			f.close = func(ctx context.Context, channel, recipient string) error {
				return f.whole.Close(context.WithoutCancel(ctx), channel, recipient)
			}
		})},
		{"Openings ignores its context", ended, "", faultyStates(func(f *faultyChannels) { accounting(&f.openings, nil) })},
	}
}
