package memory_test

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var delays = []time.Duration{50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond}

func TestStore(t *testing.T) {
	inVirtualTime(t, porttest.StoreClauses(), newStore)
}

func newStore() porttest.Store {
	orders := &memory.Orders{Lease: time.Second}
	return porttest.Store{Orders: orders, Outbox: orders, Other: orders, Lease: orders.Lease}
}

func TestEvents(t *testing.T) {
	inVirtualTime(t, porttest.EventClauses(), newEvents)
}

func newEvents() porttest.Events { return newDeadLetterQueue().Events }

func TestDeadLetterQueue(t *testing.T) {
	inVirtualTime(t, porttest.DeadLetterQueueClauses(), newDeadLetterQueue)
}

func newDeadLetterQueue() porttest.DeadLetterQueue {
	broker := &memory.Broker{Delays: delays, Logger: slog.New(slog.DiscardHandler)}
	return porttest.DeadLetterQueue{
		Events: porttest.Events{
			Publisher:    broker.Publisher(),
			Consumer:     func() ports.EventConsumer { return broker.Consumer() },
			Subscription: func(name string) ports.EventQueue { return broker.Subscription(name) },
			Inject:       broker.Inject,
			Attempts:     len(delays) + 1,
		},
		Queue: func() ports.DeadLetterQueue { return broker.DeadLetterQueue() },
	}
}

func TestDeliveries(t *testing.T) {
	inVirtualTime(t, porttest.DeliveryLogClauses(), newDeliveryLog)
}

func newDeliveryLog() porttest.DeliveryLog {
	log := &memory.Deliveries{Lease: time.Second}
	return porttest.DeliveryLog{Log: log, Other: log, Lease: log.Lease}
}

func TestDeadLetters(t *testing.T) {
	inVirtualTime(t, porttest.DeadLettersClauses(), func() porttest.DeadLetters {
		letters, forgetful := new(memory.DeadLetters), &memory.DeadLetters{Retention: time.Second}
		return porttest.DeadLetters{Letters: letters, Other: letters, Forgetful: forgetful, Retention: forgetful.Retention}
	})
}

func TestOperatorActions(t *testing.T) {
	inVirtualTime(t, porttest.OperatorActionsClauses(), func() porttest.OperatorActions {
		actions, forgetful := new(memory.OperatorActions), &memory.OperatorActions{Retention: time.Second}
		return porttest.OperatorActions{Actions: actions, Other: actions, Forgetful: forgetful, Retention: forgetful.Retention}
	})
}

func TestContacts(t *testing.T) {
	inVirtualTime(t, porttest.ContactsClauses(), func() porttest.Contacts {
		contacts := new(memory.Contacts)
		return porttest.Contacts{Contacts: contacts, Other: contacts}
	})
}

func TestChannelStates(t *testing.T) {
	inVirtualTime(t, porttest.ChannelStatesClauses(), func() porttest.ChannelStates {
		states := new(memory.ChannelStates)
		return porttest.ChannelStates{States: states, Other: states}
	})
}

// inVirtualTime checks each clause in a synctest bubble of its own, where leases
// and delays take no real time.
func inVirtualTime[A any](t *testing.T, clauses []porttest.Clause[A], open func() A) {
	for _, clause := range clauses {
		t.Run(clause.Name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { clause.Check(t, open()) })
		})
	}
}

func BenchmarkStore(b *testing.B) {
	porttest.BenchmarkStore(b, func(testing.TB) porttest.Store { return newStore() })
}

func BenchmarkEvents(b *testing.B) {
	porttest.BenchmarkEvents(b, func(testing.TB) porttest.Events { return newEvents() })
}

func BenchmarkDeliveryLog(b *testing.B) {
	porttest.BenchmarkDeliveryLog(b, func(testing.TB) porttest.DeliveryLog { return newDeliveryLog() })
}

func TestMethodsReturnTheSamePart(t *testing.T) {
	store, broker := new(memory.Store), new(memory.Broker)
	parts := func() map[string]any {
		return map[string]any{
			"Orders": store.Orders(), "Deliveries": store.Deliveries(), "DeadLetters": store.DeadLetters(),
			"Contacts": store.Contacts(), "ChannelStates": store.ChannelStates(),
			"Publisher": broker.Publisher(), "Consumer": broker.Consumer(), "Subscription": broker.Subscription("mail"), "DeadLetterQueue": broker.DeadLetterQueue(),
		}
	}
	again := parts()
	for name, part := range parts() {
		if part != again[name] {
			t.Errorf("%s returns another part each time", name)
		}
	}
}
