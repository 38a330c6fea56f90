package notification

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

const (
	drainRate   = 200 // notifications a second by each notifier: some receivers fail again under more
	drainBatch  = 50
	drainAtOnce = 16               // held notifications that are sent at once
	drainIdle   = 30 * time.Second // other notifiers may not have seen for a moment that the pause is over
)

// drain sends what the pause has held, at drainRate or the route's rate if that is lower,
// while the pause is of kind Draining. All notifiers do so together; what one has claimed
// no other gets. New events don't wait for it. drain ends the pause once none has been
// held for drainIdle.
func (s *Service) drain(ctx, calls context.Context, r *route, key domain.PauseKey) {
	limiter := rate.NewLimiter(drainRate, 1)
	batch := drainBatch
	if r.limiter != nil {
		batch = max(1, min(batch, int(r.Rate)))
	}
	lastFound, sent := time.Now(), 0
	for ctx.Err() == nil {
		pause, ok := s.pauses.get(key)
		if !ok || pause.Kind != ports.Draining {
			return
		}
		claimed := time.Now()
		held, err := s.claimHeld(calls, key, batch)
		if len(held) > 0 {
			lastFound = time.Now()
			sent += s.sendDrained(ctx, calls, r, held, claimed, limiter)
			continue
		}
		if err == nil && time.Since(lastFound) >= drainIdle && !s.anyHeld(calls, key) {
			if s.end(calls, pause) {
				s.log.InfoContext(ctx, "all held notifications were sent; the pause is over", "channel", key.Channel, "receiver", key.Receiver,
					"by_this_notifier", sent, "after", time.Since(pause.Since).Round(time.Second).String())
			}
			return
		}
		sleep(ctx, watchInterval)
	}
}

// sendDrained delivers the notifications, claimed at the time or later. It releases
// those that are left when ctx ends, or that could not be sent within their claims. It
// returns how many were tried.
func (s *Service) sendDrained(ctx, calls context.Context, r *route, held []ports.WaitingDelivery, claimed time.Time, limiter *rate.Limiter) int {
	start, cancel := context.WithDeadline(ctx, claimed.Add(s.deliveries.ClaimLease()-handlerTimeout))
	defer cancel()
	var wg sync.WaitGroup
	var tried atomic.Int64
	slots := make(chan struct{}, drainAtOnce)
	for _, d := range held {
		j := waiting(d, domain.PauseKey{})
		if limiter.Wait(start) != nil {
			s.release(calls, j)
			continue
		}
		select {
		case slots <- struct{}{}:
		case <-start.Done():
			s.release(calls, j)
			continue
		}
		wg.Go(func() {
			defer func() { <-slots }()
			if s.deliverWaiting(calls, r, j, time.Now()) != "" {
				tried.Add(1)
			}
		})
	}
	wg.Wait()
	return int(tried.Load())
}

// anyHeld reports whether the pause still holds a notification, which a notifier that
// has died since may have claimed. It looks at the latest thousands; those of longer ago
// are tried at their next try.
func (s *Service) anyHeld(ctx context.Context, key domain.PauseKey) bool {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	query := ports.NotificationQuery{Channel: key.Channel, States: []domain.NotificationState{domain.Held}, Limit: ports.MaxListLimit}
	for range 5 {
		page, err := s.deliveries.List(ctx, query)
		if err != nil {
			return true
		}
		for _, n := range page.Notifications {
			if n.HeldBy == key {
				return true
			}
		}
		if query.Cursor = page.NextCursor; query.Cursor == "" {
			return false
		}
	}
	return false
}
