package notification

import (
	"context"
	"math"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/services/internal/mask"
	"example.com/orderflow/services/internal/statelog"
	"example.com/orderflow/services/internal/telemetry"
)

const (
	dueInterval = time.Second           // between two claims if fewer are due than could be tried
	dueAtOnce   = 64                    // the most that are tried at once
	duePause    = 20 * time.Millisecond // between two claims otherwise, so that several slots are free
)

// retryDue tries the channel's due notifications from the delivery log again, until ctx
// ends. The log has the times, so several notifiers try no more often than one.
func (s *Service) retryDue(ctx, calls context.Context, r *route) {
	slots := make(chan struct{}, r.retries)
	most := r.retries
	if r.limiter != nil {
		most = min(most, int(math.Ceil(r.Rate)))
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	var log statelog.State
	sleep(ctx, rand.N(dueInterval)) // notifiers that start together take turns
	for ctx.Err() == nil {
		limit := takeFree(ctx, slots, most)
		if limit == 0 {
			return
		}
		began := time.Now()
		claiming, cancel := context.WithTimeout(calls, callTimeout)
		due, err := s.deliveries.ClaimDue(claiming, r.name, limit)
		cancel()
		switch {
		case err == nil:
			log.Up(ctx, s.log, "waiting notifications can be claimed again", "channel", r.name)
		case ctx.Err() == nil:
			log.Down(ctx, s.log, "waiting notifications can't be claimed; they are tried later", err, "channel", r.name)
		}
		for range limit - len(due) {
			<-slots
		}
		for _, d := range due {
			wg.Go(func() {
				defer func() { <-slots }()
				s.deliverWaiting(calls, r, waiting(d, domain.PauseKey{}), began)
			})
		}
		pause := dueInterval
		if len(due) == limit {
			pause = duePause
			if r.limiter != nil { // the time that the rate takes for as many
				pause = max(pause, time.Duration(float64(limit)/r.Rate*float64(time.Second)))
			}
		}
		sleep(ctx, pause)
	}
}

// takeFree waits for a free slot, then takes the free ones, but not more than most. It
// returns how many it took, or 0 if ctx has ended.
func takeFree(ctx context.Context, slots chan struct{}, most int) (taken int) {
	select {
	case slots <- struct{}{}:
	case <-ctx.Done():
		return 0
	}
	for taken = 1; taken < most; taken++ {
		select {
		case slots <- struct{}{}:
		default:
			return taken
		}
	}
	return taken
}

// deliverWaiting delivers a notification from the delivery log within handlerTimeout
// after began, and so within its claim. Its error needs no answer: a dead one was set
// aside, and any other is due again.
func (s *Service) deliverWaiting(ctx context.Context, r *route, j job, began time.Time) domain.Outcome {
	ctx, cancel := context.WithDeadline(telemetry.NewContext(ctx, j.event.Origin), began.Add(handlerTimeout))
	defer cancel()
	defer func() {
		if p := recover(); p != nil { // the claim runs out
			s.log.ErrorContext(ctx, "delivering a notification panicked; it is tried again", "channel", r.name, "event_id", j.event.ID,
				"panic", p, "stack", string(debug.Stack()))
		}
	}()
	outcome, err := s.deliver(ctx, r, j)
	if err != nil {
		s.log.DebugContext(ctx, "waiting notification was not sent", "channel", r.name, "event_id", j.event.ID, "error", mask.Error(err))
	}
	return outcome
}
