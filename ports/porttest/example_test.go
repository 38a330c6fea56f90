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

// The test of an adapter opens it, empty, for each clause. This test opens the
// adapter in memory: put yours in its place.
func ExampleRun() {
	var t *testing.T // of your test
	porttest.Run(t, porttest.StoreClauses(), func(t testing.TB) porttest.Store {
		orders := &memory.Orders{Lease: time.Second}
		return porttest.Store{Orders: orders, Outbox: orders, Other: orders, Lease: orders.Lease}
	})
}

// A broker of events alone needs neither a dead-letter queue nor its clauses.
func ExampleEventClauses() {
	var t *testing.T // of your test
	porttest.Run(t, porttest.EventClauses(), func(t testing.TB) porttest.Events {
		delays := []time.Duration{50 * time.Millisecond, 100 * time.Millisecond, 150 * time.Millisecond}
		broker := &memory.Broker{Delays: delays, Logger: slog.New(slog.DiscardHandler)}
		return porttest.Events{
			Publisher: broker.Publisher(),
			Consumer:  func() ports.EventConsumer { return broker.Consumer() },
			Inject:    broker.Inject,
			Attempts:  len(delays) + 1,
		}
	})
}

// An adapter without I/O runs each clause in virtual time, where no clause takes
// longer than its work.
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
