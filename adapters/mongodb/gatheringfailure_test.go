package mongodb_test

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"example.com/orderflow/adapters/mongodb"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

func TestManyCallersDuringAnOutage(t *testing.T) {
	const callers = 64
	store, p := behindProxy(t, "&timeoutMS=500&serverSelectionTimeoutMS=300")
	orders, log := store.Orders(), store.Deliveries()
	var claims []ports.DeliveryClaim
	for range callers {
		claim, err := log.Claim(bounded(t), keyOf(newOrder(t, "ann", epoch).Created().ID, "mail"))
		if err != nil {
			t.Fatal(err)
		}
		claims = append(claims, claim)
	}
	calls := map[string]func(i int, order domain.Order) error{
		"Add": func(_ int, order domain.Order) error { return orders.Add(bounded(t), order, domain.Origin{}) },
		"Claim": func(_ int, order domain.Order) error {
			_, err := log.Claim(bounded(t), keyOf(order.Created().ID, "mail"))
			return err
		},
		"Record": func(i int, order domain.Order) error {
			return claims[i].Record(bounded(t), domain.Notification{OrderID: order.ID, Attempt: 1, State: domain.Sent, At: epoch}, domain.Event{})
		},
	}
	for _, how := range []string{"mute", "cut"} {
		t.Run(how, func(t *testing.T) {
			if how == "mute" {
				p.mute.Store(true)
			} else {
				p.Cut()
			}
			var wg sync.WaitGroup
			for name, call := range calls {
				for i := range callers {
					order := newOrder(t, "ann", epoch)
					wg.Go(func() {
						start := time.Now()
						if err := call(i, order); !errors.Is(err, ports.ErrUnavailable) {
							t.Errorf("%s: got %v, want ErrUnavailable", name, err)
						}
						if d := time.Since(start); d > 3*time.Second {
							t.Errorf("%s took %v, want about 0.5 s", name, d)
						}
					})
				}
			}
			wg.Wait()
		})
	}
}

// Some servers write a batch in one transaction, and lock its documents one after
// the other.
func TestTwoProcessesWriteTheSameDocuments(t *testing.T) {
	const count = 100
	one, other := openTwice(t, runOut) // so that both may claim a delivery
	stores := []*mongodb.Store{one, other}
	var all []domain.Order
	for range count {
		all = append(all, newOrder(t, "ann", epoch))
	}
	ctx := bounded(t)
	// inTwo calls f for each order and each store, all at once. It returns how often f
	// reported true for each order.
	inTwo := func(f func(store, i int) bool) []int {
		var mu sync.Mutex
		var wg sync.WaitGroup
		times := make([]int, count)
		for store := range stores {
			for _, i := range rand.Perm(count) {
				wg.Go(func() {
					if f(store, i) {
						mu.Lock()
						defer mu.Unlock()
						times[i]++
					}
				})
			}
		}
		wg.Wait()
		return times
	}

	added := inTwo(func(store, i int) bool {
		err := stores[store].Orders().Add(ctx, all[i], domain.Origin{})
		if err != nil && !errors.Is(err, ports.ErrExists) {
			t.Errorf("add: %v", err)
		}
		return err == nil
	})
	var mu sync.Mutex
	claims := make(map[int][]ports.DeliveryClaim)
	inTwo(func(store, i int) bool {
		log := stores[store].Deliveries()
		claim, err := log.Claim(ctx, keyOf(all[i].Created().ID, "mail"))
		if err != nil && !errors.Is(err, ports.ErrClaimed) {
			t.Errorf("claim: %v", err)
		}
		if err == nil {
			mu.Lock()
			defer mu.Unlock()
			claims[i] = append(claims[i], claim)
		}
		return err == nil
	})
	inTwo(func(store, i int) bool {
		if store >= len(claims[i]) {
			return false
		}
		err := claims[i][store].Record(ctx, domain.Notification{
			EventID: all[i].Created().ID, OrderID: all[i].ID, Channel: "mail", Attempt: store + 1, State: domain.Sent, At: epoch,
		}, domain.Event{})
		if err != nil {
			t.Errorf("record: %v", err)
		}
		return err == nil
	})
	for i, order := range all {
		if added[i] != 1 {
			t.Errorf("order %d was added %d times, want once", i, added[i])
		}
		got, err := one.Deliveries().List(ctx, ports.NotificationQuery{OrderID: order.ID})
		if err != nil || len(got.Notifications) != 1 {
			t.Errorf("order %d: %d notifications are recorded, error %v; want one", i, len(got.Notifications), err)
		}
	}
}
