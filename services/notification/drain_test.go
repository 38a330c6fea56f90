package notification_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// countedLog counts what claims of waiting notifications and lists cost the store: calls,
// or notifications that are due.
type countedLog struct {
	ports.DeliveryLog
	calls *atomic.Int64
}

func (c countedLog) ClaimHeld(ctx context.Context, by domain.PauseKey, limit int) ([]ports.WaitingDelivery, error) {
	c.calls.Add(1)
	return c.DeliveryLog.ClaimHeld(ctx, by, limit)
}

func (c countedLog) ClaimDue(ctx context.Context, channel string, limit int) ([]ports.WaitingDelivery, error) {
	due, err := c.DeliveryLog.ClaimDue(ctx, channel, limit)
	c.calls.Add(int64(len(due)))
	return due, err
}

func (c countedLog) List(ctx context.Context, query ports.NotificationQuery) (ports.NotificationPage, error) {
	c.calls.Add(1)
	return c.DeliveryLog.List(ctx, query)
}

// When a server returns, all receivers behind it may do so at once. Their drains share
// one rate, and the store has little to do for those that are over.
func TestManyReceiversReturnAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const receivers, orders = 200, 20
		w, hook, calls := newWorld(t), &addressed{post{name: "hook"}}, new(atomic.Int64)
		var addresses []string
		for n := range receivers {
			addresses = append(addresses, fmt.Sprintf("%d@host-%d", n, n))
		}
		parts := w.parts()
		parts.Deliveries = countedLog{parts.Deliveries, calls}
		w.startWith(parts, w.endpoints(hook, addresses...))
		hook.fail(errAway)
		w.order(orders)
		time.Sleep(time.Minute)
		if held := len(w.list("hook", domain.Held)); held != receivers*orders {
			t.Fatalf("%d notifications are held, want all %d", held, receivers*orders)
		}
		hook.fail(nil)
		var fastest, most int64
		for range 180 {
			sentBefore, callsBefore := int64(len(hook.sent())), calls.Load()
			time.Sleep(time.Second)
			fastest, most = max(fastest, int64(len(hook.sent()))-sentBefore), max(most, calls.Load()-callsBefore)
		}
		if sent := len(hook.sent()); sent != receivers*orders {
			t.Errorf("%d were sent, want %d", sent, receivers*orders)
		}
		if fastest > 250 { // some of them are probes
			t.Errorf("%d were sent in a second, want about 200 at most", fastest)
		}
		if most > 450 { // 200 that send 20 each look twice
			t.Errorf("%d calls of the store in a second, want at most about 400", most)
		}
		before := calls.Load()
		time.Sleep(10 * time.Minute)
		if p := w.pauses(); len(p) > 0 {
			t.Errorf("pauses at the end: %v", p)
		}
		if more := calls.Load() - before; more > 10 {
			t.Errorf("%d calls of the store after all was sent", more)
		}
	})
}

// stuckClaims are claims that a hanging store does not release.
type stuckClaims struct{ ports.DeliveryLog }

type stuckClaim struct{ ports.DeliveryClaim }

func (s stuckClaims) ClaimHeld(ctx context.Context, by domain.PauseKey, limit int) ([]ports.WaitingDelivery, error) {
	held, err := s.DeliveryLog.ClaimHeld(ctx, by, limit)
	for i := range held {
		held[i].Claim = stuckClaim{held[i].Claim}
	}
	return held, err
}

func (stuckClaim) Release(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// A drain stops soon, even if the store hangs.
func TestDrainStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, mail := newWorld(t), &post{name: "mail"}
		parts := w.parts()
		parts.Deliveries = stuckClaims{parts.Deliveries}
		stop := w.startWith(parts, w.route(mail))
		mail.fail(errAway)
		w.order(200)
		time.Sleep(10 * time.Second)
		w.resume("mail", "")
		mail.mu.Lock()
		mail.took = time.Hour
		mail.mu.Unlock()
		time.Sleep(3 * time.Second)
		began := time.Now()
		stop()
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("stopped after %v", took)
		}
	})
}
