package porttest_test

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

// An adapter's test opens the empty adapter for each clause. This test opens the
// memory adapter; replace it by yours.
func ExampleRun() {
	var t *testing.T // of your test
	porttest.Run(t, porttest.StoreClauses(), func(t testing.TB) porttest.Store {
		orders := &memory.Orders{Lease: time.Second}
		return porttest.Store{Orders: orders, Outbox: orders, Other: orders, Lease: orders.Lease}
	})
}

// A broker without dead letters passes only the clauses of events.
func ExampleEventClauses() {
	var t *testing.T // of your test
	porttest.Run(t, porttest.EventClauses(), func(t testing.TB) porttest.Events {
		delays := []time.Duration{50 * time.Millisecond, 100 * time.Millisecond, 150 * time.Millisecond}
		broker := &memory.Broker{Delays: delays, Logger: slog.New(slog.DiscardHandler)}
		return porttest.Events{
			Publisher:    broker.Publisher(),
			Consumer:     func() ports.EventConsumer { return broker.Consumer() },
			Subscription: func(name string) ports.EventQueue { return broker.Subscription(name) },
			Inject:       broker.Inject,
			Attempts:     len(delays) + 1,
		}
	})
}

// An adapter without I/O can run each clause in virtual time, in which waiting takes
// no real time.
func ExampleClause() {
	var t *testing.T // of your test
	for _, clause := range porttest.DeliveryLogClauses() {
		t.Run(clause.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := &memory.Deliveries{Lease: time.Second}
				clause.Check(t, porttest.DeliveryLog{Log: log, Other: log, Lease: log.Lease})
			})
		})
	}
}
