package memory_test

import (
	"context"
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
	inVirtualTime(t, porttest.StoreClauses(), func() porttest.Store {
		orders := &memory.Orders{Lease: time.Second}
		return porttest.Store{Orders: orders, Outbox: orders, Other: orders, Lease: orders.Lease}
	})
}

func TestBroker(t *testing.T) {
	inVirtualTime(t, porttest.BrokerClauses(), func() porttest.Broker {
		broker := &memory.Broker{Delays: delays, Logger: slog.New(slog.DiscardHandler)}
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
}

func TestDeliveries(t *testing.T) {
	inVirtualTime(t, porttest.DeliveryLogClauses(), func() porttest.DeliveryLog {
		log := &memory.Deliveries{Lease: time.Second}
		return porttest.DeliveryLog{Log: log, Other: log, Lease: log.Lease}
	})
}

// inVirtualTime checks every clause in a bubble of its own, where leases and
// delays cost nothing.
func inVirtualTime[A any](t *testing.T, clauses []porttest.Clause[A], open func() A) {
	for _, clause := range clauses {
		t.Run(clause.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { clause.Check(t, open()) })
		})
	}
}
