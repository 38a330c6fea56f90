package porttest_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"
	"time"

	"example.com/orderflow/ports/porttest"
)

// machine is slow: each call takes some time before and after its work, sometimes
// much longer. That breaks no contract.
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

// slow makes the function *f run on the machine.
func slow[F any](m *machine, f *F) {
	around(f, func(args []reflect.Value, call func([]reflect.Value) []reflect.Value) []reflect.Value {
		m.lag()
		defer m.lag()
		return call(args)
	})
}

// slowPulls makes the calls and their handlers run on the machine.
func slowPulls[T any](m *machine, p *pulls[T]) {
	p.wrap(func(_ context.Context, h handle[T]) handle[T] {
		slow(m, &h)
		return h
	})
	slow(m, &p.call)
}

func TestClausesOnASlowMachine(t *testing.T) {
	for seed := range uint64(3) {
		passAll(t, "store", seed, porttest.StoreClauses(), func(m *machine) func() porttest.Store {
			return faulty(func(f *faultyStore) {
				slow(m, &f.add)
				slow(m, &f.get)
				slow(m, &f.list)
				slow(m, &f.claim)
				slow(m, &f.mark)
				slow(m, &f.release)
				slow(m, &f.account)
			})
		})
		slowBroker := func(m *machine) func(b *faultyBroker) {
			return func(b *faultyBroker) {
				slow(m, &b.publish)
				slow(m, &b.replay)
				slow(m, &b.aside)
				slow(m, &b.depth)
				b.subscription = func(name string) *subscription {
					s := b.subscribed(name)
					slow(m, &s.ping)
					slow(m, &s.depth)
					slowPulls(m, &s.consume)
					return s
				}
				slowPulls(m, &b.consume)
				slowPulls(m, &b.drain)
			}
		}
		passAll(t, "events", seed, porttest.EventClauses(), func(m *machine) func() porttest.Events { return faultyEvents(slowBroker(m)) })
		passAll(t, "dead-letter queue", seed, porttest.DeadLetterQueueClauses(), func(m *machine) func() porttest.DeadLetterQueue { return faultyQueue(slowBroker(m)) })
		passAll(t, "delivery log", seed, porttest.DeliveryLogClauses(), func(m *machine) func() porttest.DeliveryLog {
			return faultyDeliveries(func(l *faultyLog) {
				slow(m, &l.claim)
				slow(m, &l.due)
				slow(m, &l.held)
				slow(m, &l.list)
				slow(m, &l.forget)
				slow(m, &l.expire)
				slow(m, &l.record)
				slow(m, &l.release)
				slow(m, &l.account)
			})
		})
		passAll(t, "dead letters", seed, porttest.DeadLettersClauses(), func(m *machine) func() porttest.DeadLetters {
			return faultyLetters(func(f *faultyDeadLetters) {
				slow(m, &f.put)
				slow(m, &f.get)
				slow(m, &f.list)
				slow(m, &f.settle)
				slow(m, &f.forget)
				slow(m, &f.account)
			})
		})
		passAll(t, "contacts", seed, porttest.ContactsClauses(), func(m *machine) func() porttest.Contacts {
			return faultyAddresses(func(f *faultyContacts) {
				slow(m, &f.get)
				slow(m, &f.put)
				slow(m, &f.del)
				slow(m, &f.list)
			})
		})
		passAll(t, "channel states", seed, porttest.ChannelStatesClauses(), func(m *machine) func() porttest.ChannelStates {
			return faultyStates(func(f *faultyChannels) {
				slow(m, &f.register)
				slow(m, &f.forget)
				slow(m, &f.pauses)
				slow(m, &f.pause)
				slow(m, &f.change)
				slow(m, &f.end)
			})
		})
	}
}

// passAll checks that no clause fails for the whole adapter on a slow machine.
func passAll[A any](t *testing.T, name string, seed uint64, clauses []porttest.Clause[A], on func(m *machine) func() A) {
	t.Run(fmt.Sprint(name, " ", seed), func(t *testing.T) {
		t.Parallel()
		for _, clause := range clauses {
			open := on(&machine{rand: rand.New(rand.NewPCG(seed, seed))})
			for _, fault := range check(t, clause, open) {
				t.Errorf("%s: %s", clause.Name, fault)
			}
		}
	})
}
