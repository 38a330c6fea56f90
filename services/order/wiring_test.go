package order_test

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/order"
)

// Constructors refuse missing and unfit parts.
func TestConstructorsRefuse(t *testing.T) {
	orders, broker := new(memory.Orders), new(memory.Broker).Publisher()
	relay := must(order.NewRelay(orders, broker, discard))
	var noOrders *memory.Orders
	newRelay := func(outbox ports.Outbox, publisher ports.EventPublisher) func() error {
		return func() error { _, err := order.NewRelay(outbox, publisher, discard); return err }
	}
	newService := func(orders ports.OrderRepository, relay *order.Relay) func() error {
		return func() error { _, err := order.NewService(orders, relay, discard); return err }
	}
	tests := []struct {
		name string
		make func() error
		want string // in the error; empty: none
	}{
		{"relay", newRelay(orders, broker), ""},
		{"relay without an outbox", newRelay(nil, broker), "relay needs an outbox"},
		{"relay with a nil outbox", newRelay(noOrders, broker), "relay needs an outbox"},
		{"relay without a publisher", newRelay(orders, nil), "relay needs a publisher"},
		{"relay with a short lease", newRelay(&memory.Orders{Lease: time.Second}, broker), "claims last 1s"},
		{"relay with a lease as long as publishing may take", newRelay(&memory.Orders{Lease: 10 * time.Second}, broker), "claims last 10s"},
		{"relay with a lease that is just long enough", newRelay(&memory.Orders{Lease: 11 * time.Second}, broker), ""},
		{"service", newService(orders, relay), ""},
		{"service without orders", newService(nil, relay), "order service needs a repository"},
		{"service without a relay", newService(orders, nil), "order service needs a relay"},
		{"service with a zero relay", newService(orders, new(order.Relay)), "a relay made by NewRelay"},
		{"zero relay", func() error { return new(order.Relay).Run(t.Context()) }, "not made by NewRelay"},
		{"handler with a zero service", func() error { _, err := order.NewHandler(new(order.Service), nil, nil, discard); return err }, "a service made by NewService"},
		{"handler without a service", func() error { _, err := order.NewHandler(nil, nil, nil, discard); return err }, "handler needs a service"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.make()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestWithoutALogger(t *testing.T) {
	for name, log := range map[string]*slog.Logger{"nil": nil, "zero": {}} {
		t.Run(name, func(t *testing.T) {
			orders := new(memory.Orders)
			relay := must(order.NewRelay(orders, new(memory.Broker).Publisher(), log))
			service := must(order.NewService(orders, relay, log))
			must(order.NewHandler(service, nil, nil, log))
			if _, _, err := service.Place(t.Context(), order.Placement{UserID: "123", Product: "Laptop", Quantity: 1}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRelayRunsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, new(outbox), new(broker))
		synctest.Wait()
		if err := s.relay.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "has run already") {
			t.Errorf("a second Run returned %v, want an error at once", err)
		}
		s.add(t, 1, 1)
		time.Sleep(time.Second)
		s.want(t, 1, 0) // the first Run still works
		s.stop()
	})
}
