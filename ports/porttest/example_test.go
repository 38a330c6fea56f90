package porttest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/ports/porttest"
)

// An adapter's test says how to open it, empty. Here it is the one in memory:
// put yours in its place.
func ExampleRun() {
	var t *testing.T // your test's
	porttest.Run(t, porttest.StoreClauses(), func(t testing.TB) porttest.Store {
		orders := &memory.Orders{Lease: time.Second}
		return porttest.Store{Orders: orders, Outbox: orders, Other: orders, Lease: orders.Lease}
	})
}

// An adapter that does no I/O runs in virtual time, where no clause takes
// longer than its work.
func ExampleClause() {
	var t *testing.T // your test's
	for _, clause := range porttest.DeliveryLogClauses() {
		t.Run(clause.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := &memory.Deliveries{Lease: time.Second}
				clause.Check(t, porttest.DeliveryLog{Log: log, Other: log, Lease: log.Lease})
			})
		})
	}
}
