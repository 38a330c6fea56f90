package memory_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

func TestDeliveriesDefaultLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log memory.Deliveries
		key := domain.NotificationKey{EventID: order(t, 1).Created().ID, Channel: "mail"}
		claim := func() error {
			_, err := log.Claim(t.Context(), key)
			return err
		}
		if err := claim(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(memory.DefaultDeliveryLease - 1)
		if err := claim(); !errors.Is(err, ports.ErrClaimed) {
			t.Errorf("just before the lease's end: error %v, want %v", err, ports.ErrClaimed)
		}
		time.Sleep(time.Nanosecond)
		if err := claim(); err != nil {
			t.Errorf("at the lease's end: %v", err)
		}
	})
}
