package memory_test

import (
	"context"
	"testing"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

func par[A any](t *testing.T, clauses []porttest.Clause[A], open func() A) {
	for _, clause := range clauses {
		t.Run(clause.Name, func(t *testing.T) { t.Parallel(); clause.Check(t, open()) })
	}
}

func TestRT(t *testing.T) {
	par(t, porttest.StoreClauses(), func() porttest.Store {
		orders := &memory.Orders{Lease: 500 * time.Millisecond}
		return porttest.Store{Orders: orders, Outbox: orders, Other: orders, Lease: orders.Lease}
	})
	par(t, porttest.BrokerClauses(), func() porttest.Broker {
		broker := &memory.Broker{Delays: delays}
		return porttest.Broker{
			Publisher: broker,
			Consumer:  func() ports.EventConsumer { return broker },
			Inject:    broker.Inject,
			DeadLetters: func(context.Context) ([]porttest.DeadLetter, error) {
				var list []porttest.DeadLetter
				for _, d := range broker.DeadLetters() {
					list = append(list, porttest.DeadLetter{EventID: d.EventID, Reason: d.Reason, Attempts: d.Attempts})
				}
				return list, nil
			},
			Attempts: len(delays) + 1,
		}
	})
	par(t, porttest.DeliveryLogClauses(), func() porttest.DeliveryLog {
		log := &memory.Deliveries{Lease: 500 * time.Millisecond}
		return porttest.DeliveryLog{Log: log, Other: log, Lease: log.Lease}
	})
}
