package notification

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

const (
	drainRate   = 200 // notifications a second by each notifier and channel: some receivers fail again under more
	drainBatch  = 50
	drainAtOnce = 16               // held notifications that a channel sends at once
	drainTurns  = 4                // pauses whose notifications a channel drains at once
	drainPoll   = 10 * time.Second // the longest time between two claims of held notifications

	// Within drainMargin after a pause was resumed or a notification was claimed, another
	// notifier may still hold notifications by the old pause.
	drainMargin = 15 * time.Second
)

// drains bounds all drains of a channel together, because when a server returns, the
// pauses of many receivers may end at once.
type drains struct {
	limiter *rate.Limiter
	batch   int
	turns   chan struct{}
	slots   chan struct{}
}

func newDrains(r Route) drains {
	batch := drainBatch
	if r.Rate > 0 {
		batch = max(1, min(batch, int(r.Rate)))
	}
	return drains{rate.NewLimiter(drainRate, 1), batch, make(chan struct{}, drainTurns), make(chan struct{}, drainAtOnce)}
}

// drain sends what the pause has held, while the pause is of kind Draining. The rate is
// drainRate, or the route's if that is lower. Several notifiers may drain a pause at once,
// because each claims what it sends. New events don't wait for it.
//
// drain ends the pause when it has found no held notification for a while.
func (s *Service) drain(ctx, calls context.Context, r *route, key domain.PauseKey) {
	lastFound, sent, wait := time.Now(), 0, watchInterval
	for ctx.Err() == nil {
		pause, ok := s.pauses.get(key)
		if !ok || pause.Kind != ports.Draining {
			return
		}
		found, tried, err := s.drainBatch(ctx, calls, r, key)
		sent += tried
		switch {
		case found > 0:
			lastFound, wait = time.Now(), watchInterval
			continue
		case err != nil: // another notifier may only be able to record what it holds when the store is back
			lastFound = time.Now()
		case s.isDrained(calls, key, time.Since(lastFound)):
			if s.end(calls, pause) {
				s.log.InfoContext(ctx, "all held notifications were sent; the pause is over",
					"channel", key.Channel, "receiver", key.Receiver,
					"by_this_notifier", sent, "after", time.Since(pause.Since).Round(time.Second).String())
			}
			return
		}
		sleep(ctx, wait)
		wait = min(2*wait, drainPoll)
	}
}

// isDrained reports whether the pause holds nothing any more, given the time in which none
// could be claimed. After the margin, the list of what all pauses hold shows that if it has
// one page, so that reading it costs little. Otherwise a dead notifier's claims have to end.
func (s *Service) isDrained(ctx context.Context, key domain.PauseKey, idle time.Duration) bool {
	switch {
	case idle < drainMargin:
		return false
	case idle >= s.deliveries.ClaimLease()+drainMargin:
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	page, err := s.deliveries.List(ctx, ports.NotificationQuery{States: []domain.NotificationState{domain.Held}, Limit: drainBatch})
	return err == nil && page.NextCursor == "" && page.Unreadable == 0 &&
		!slices.ContainsFunc(page.Notifications, func(n domain.Notification) bool { return n.HeldBy == key })
}

// drainBatch claims some held notifications when it is the pause's turn, and sends them.
func (s *Service) drainBatch(ctx, calls context.Context, r *route, key domain.PauseKey) (found, tried int, err error) {
	select {
	case r.drains.turns <- struct{}{}:
		defer func() { <-r.drains.turns }()
	case <-ctx.Done():
		return 0, 0, nil
	}
	claimed := time.Now()
	held, err := s.claimHeld(calls, key, r.drains.batch)
	return len(held), s.sendDrained(ctx, calls, r, held, claimed), err
}

// sendDrained delivers the notifications, which were claimed at the time or later. It
// releases the rest when ctx ends, or when their claims would end first. It returns how
// many it has tried.
func (s *Service) sendDrained(ctx, calls context.Context, r *route, held []ports.WaitingDelivery, claimed time.Time) int {
	start, cancel := context.WithDeadline(ctx, claimed.Add(s.deliveries.ClaimLease()-handlerTimeout))
	defer cancel()
	var wg sync.WaitGroup
	var tried atomic.Int64
	slots := r.drains.slots
	for _, d := range held {
		j := waiting(d, domain.PauseKey{})
		if r.drains.limiter.Wait(start) != nil {
			wg.Go(func() { s.release(calls, j) }) // at once, because a store that hangs takes long for each
			continue
		}
		select {
		case slots <- struct{}{}:
		case <-start.Done():
			wg.Go(func() { s.release(calls, j) })
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
