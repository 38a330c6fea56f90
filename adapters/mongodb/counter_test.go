package mongodb_test

import (
	"sync"
	"testing"
	"time"

	"example.com/orderflow/adapters/mongodb"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// addAndSend adds orders of that time and records that their notifications were sent.
func addAndSend(t *testing.T, s *mongodb.Store, at time.Time, n int) {
	t.Helper()
	ctx := bounded(t)
	var wg sync.WaitGroup
	for range n {
		order := newOrder(t, "ann", at)
		wg.Go(func() {
			if err := s.Orders().Add(ctx, order, domain.Origin{}); err != nil {
				t.Error(err)
			}
			if err := s.Orders().MarkPublished(ctx, order.Created().ID); err != nil {
				t.Error(err)
			}
			claim, err := s.Deliveries().Claim(ctx, keyOf(order.Created().ID, "mail"))
			if err != nil {
				t.Error(err)
				return
			}
			sent := domain.Notification{EventID: order.Created().ID, OrderID: order.ID, Channel: "mail", Attempt: 1, State: domain.Sent, At: at}
			if err := claim.Record(ctx, sent, order.Created()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func checkCounted(t *testing.T, s *mongodb.Store, n int) {
	t.Helper()
	orders, err := s.Orders().Account(bounded(t))
	if want := (ports.OutboxAccount{Orders: n, Published: n}); err != nil || orders != want {
		t.Errorf("orders %+v, error %v; want %+v", orders, err, want)
	}
	deliveries, err := s.Deliveries().Account(bounded(t))
	if err != nil || len(deliveries) != 1 || deliveries[0].Sent != n {
		t.Errorf("deliveries %+v, error %v; want %d sent", deliveries, err, n)
	}
}

// Processes write new and old records and die, while others count.
func TestAccountAfterCrashes(t *testing.T) {
	t.Parallel()
	url := databaseURL(t)
	const beat = 2 * time.Second // a beat has so much time, on a machine with much to do
	reader := open(t, url, mongodb.Beating(beat))
	n := 0
	for range 6 {
		dying := open(t, url, mongodb.Beating(beat))
		for i, store := range []*mongodb.Store{dying, reader} {
			addAndSend(t, store, time.Now().Truncate(time.Millisecond), 5)
			addAndSend(t, store, epoch.Add(time.Duration(i)*time.Hour), 5)
			n += 10
			checkCounted(t, reader, n)
		}
		dying.Die()
		checkCounted(t, reader, n)
	}
	for range 7 {
		checkCounted(t, reader, n)
		time.Sleep(beat)
	}
}
