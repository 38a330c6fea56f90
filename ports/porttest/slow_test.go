package porttest_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

// A slow and noisy machine breaks no contract: each call takes a while before
// and after it does its work, and now and then much longer than that.
type machine struct {
	mu   sync.Mutex
	rand *rand.Rand
}

func (m *machine) lag() {
	m.mu.Lock()
	d := 25 * time.Millisecond
	if m.rand.IntN(20) == 0 {
		d += time.Duration(m.rand.IntN(int(700 * time.Millisecond)))
	}
	m.mu.Unlock()
	time.Sleep(d)
}

// slow calls f on the machine.
func slow[T any](m *machine, f func() (T, error)) (T, error) {
	m.lag()
	defer m.lag()
	return f()
}

func slowly(m *machine, f func() error) error {
	_, err := slow(m, func() (struct{}, error) { return struct{}{}, f() })
	return err
}

func TestClausesOnASlowMachine(t *testing.T) {
	for seed := range uint64(3) {
		newMachine := func() *machine { return &machine{rand: rand.New(rand.NewPCG(seed, seed))} }
		t.Run(fmt.Sprint("store ", seed), func(t *testing.T) {
			passAll(t, porttest.StoreClauses(), func() porttest.Store { return slowStore(newMachine()) })
		})
		t.Run(fmt.Sprint("broker ", seed), func(t *testing.T) {
			passAll(t, porttest.BrokerClauses(), func() porttest.Broker { return slowBroker(newMachine()) })
		})
		t.Run(fmt.Sprint("delivery log ", seed), func(t *testing.T) {
			passAll(t, porttest.DeliveryLogClauses(), func() porttest.DeliveryLog { return slowLog(newMachine()) })
		})
		t.Run(fmt.Sprint("dead letters ", seed), func(t *testing.T) {
			passAll(t, porttest.DeadLettersClauses(), func() porttest.DeadLetters { return slowLetters(newMachine()) })
		})
	}
}

func passAll[A any](t *testing.T, clauses []porttest.Clause[A], open func() A) {
	t.Parallel()
	for _, clause := range clauses {
		for _, fault := range check(t, clause, open) {
			t.Errorf("%s: %s", clause.Name, fault)
		}
	}
}

func slowStore(m *machine) porttest.Store {
	return faulty(func(whole *memory.Orders, f *faultyStore) {
		f.add = func(ctx context.Context, order domain.Order) error {
			return slowly(m, func() error { return whole.Add(ctx, order) })
		}
		f.get = func(ctx context.Context, id domain.OrderID) (domain.Order, error) {
			return slow(m, func() (domain.Order, error) { return whole.Get(ctx, id) })
		}
		f.list = func(ctx context.Context, query ports.OrderQuery) (ports.OrderPage, error) {
			return slow(m, func() (ports.OrderPage, error) { return whole.List(ctx, query) })
		}
		f.claim = func(ctx context.Context, limit int) ([]domain.Event, error) {
			return slow(m, func() ([]domain.Event, error) { return whole.Claim(ctx, limit) })
		}
		f.mark = func(ctx context.Context, ids ...domain.EventID) error {
			return slowly(m, func() error { return whole.MarkPublished(ctx, ids...) })
		}
		f.put = func(ctx context.Context, until time.Time, ids ...domain.EventID) error {
			return slowly(m, func() error { return whole.Release(ctx, until, ids...) })
		}
	})()
}

func slowBroker(m *machine) porttest.Broker {
	return broker(func(whole *memory.Broker, b *porttest.Broker) {
		b.Publisher = publisherFunc(func(ctx context.Context, events ...domain.Event) (errs []error) {
			_ = slowly(m, func() error { errs = whole.Publisher().Publish(ctx, events...); return nil })
			return errs
		})
		b.Consumer = func() ports.EventConsumer {
			return consumerFunc(func(ctx context.Context, handle ports.Handler) error {
				if handle == nil {
					return whole.Consumer().Consume(ctx, nil)
				}
				return slowly(m, func() error {
					return whole.Consumer().Consume(ctx, func(hctx context.Context, d ports.Delivery) error {
						m.lag()
						defer m.lag()
						return handle(hctx, d)
					})
				})
			})
		}
		b.DeadLetters = func() ports.DeadLetterQueue {
			return deadLetterQueue{
				drain: func(ctx context.Context, keep keepFunc) error {
					if keep == nil {
						return whole.DeadLetterQueue().Drain(ctx, nil)
					}
					return slowly(m, func() error {
						return whole.DeadLetterQueue().Drain(ctx, func(kctx context.Context, letter ports.DeadLetter) error {
							return slowly(m, func() error { return keep(kctx, letter) })
						})
					})
				},
				replay: func(ctx context.Context, letter ports.DeadLetter) error {
					return slowly(m, func() error { return whole.DeadLetterQueue().Replay(ctx, letter) })
				},
			}
		}
	})()
}

func slowLog(m *machine) porttest.DeliveryLog {
	return faultyDeliveries(func(whole *memory.Deliveries, l *faultyLog) {
		l.claim = func(ctx context.Context, event domain.EventID, channel string) (ports.DeliveryClaim, error) {
			return slow(m, func() (ports.DeliveryClaim, error) { return whole.Claim(ctx, event, channel) })
		}
		l.list = func(ctx context.Context, order domain.OrderID) (ports.NotificationList, error) {
			return slow(m, func() (ports.NotificationList, error) { return whole.List(ctx, order) })
		}
		l.record = func(ctx context.Context, c *faultyClaim, n domain.Notification) error {
			return slowly(m, func() error { return c.DeliveryClaim.Record(ctx, n) })
		}
		l.release = func(ctx context.Context, c *faultyClaim) error {
			return slowly(m, func() error { return c.DeliveryClaim.Release(ctx) })
		}
	})()
}
