package notification

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/services/internal/statelog"
)

// receivers are the receivers to which the channel has sent in the last minutes.
type receivers struct {
	mu    sync.Mutex
	known map[string]*receiver
}

// receiver is what this process knows of a receiver. The mutex of receivers guards it,
// except for outage.
type receiver struct {
	sending     int // notifications that are being sent to it
	again       int // those of them that are not from the queue
	unreachable int // attempts that did not reach it, since the last success
	refused     int // attempts that it refused, since the last success
	used        time.Time
	notBefore   time.Time // the latest failure asked for no other try before
	outage      statelog.State
}

// forgetReceiver is how long a receiver is known without being used.
const forgetReceiver = 10 * time.Minute

func (r *receivers) get(name string) *receiver {
	if r.known == nil {
		r.known = make(map[string]*receiver)
	}
	got := r.known[name]
	if got == nil {
		got = new(receiver)
		r.known[name] = got
	}
	got.used = time.Now()
	return got
}

// notBefore returns the time before which the receiver asked for no other try.
func (r *receivers) notBefore(name string) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.get(name).notBefore
}

// forgetIdle bounds the number of known receivers.
func (r *receivers) forgetIdle() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, known := range r.known {
		if known.sending == 0 && time.Since(known.used) > forgetReceiver {
			delete(r.known, name)
		}
	}
}

// errBusy is returned when the notification has to wait for its turn. It then waits in
// the delivery log, so that the consumer goes on with other receivers' events.
var errBusy = errors.New("waits for its turn: the channel is busy up to its rate or concurrency, or its receiver is slow")

const (
	firstBusyDelay   = 2 * time.Second
	longestBusyDelay = 5 * time.Minute
	busyPause        = time.Second // slows a queue's move to the delivery log while its rate is exceeded
)

// busyDelay returns how long the notification waits in the delivery log for its turn. The
// delay about doubles each time, so that the backlog of a slow receiver costs the store
// little, and leaves retries to the others.
func busyDelay(n domain.Notification) time.Duration {
	if n.State != domain.Retrying || n.Reason != errBusy.Error() {
		return firstBusyDelay
	}
	delay := min(max(2*n.NextTry.Sub(n.At), firstBusyDelay), longestBusyDelay)
	return delay/2 + rand.N(delay) // at random, so that not all are due at the same time
}

// waitForTurn waits until the channel's rate and concurrency allow another notification.
// The caller calls end after it has sent.
//
// errBusy is returned when the wait would exceed turnTimeout. It is returned at once when
// the receiver is one of several and already uses half of the concurrency, or three
// quarters of the retries: a receiver that hangs leaves the rest to the others.
func (r *route) waitForTurn(ctx context.Context, name string, fromQueue bool) (end func(), err error) {
	again := 1
	if fromQueue {
		again = 0
	}
	receivers := &r.receivers
	receivers.mu.Lock()
	to := receivers.get(name)
	if len(receivers.known) > 1 && (to.sending >= max(1, r.Concurrency/2) || again > 0 && to.again >= r.retries-r.retries/4) {
		receivers.mu.Unlock()
		return nil, errBusy
	}
	to.sending++
	to.again += again
	receivers.mu.Unlock()
	leave := func() {
		receivers.mu.Lock()
		to.sending--
		to.again -= again
		receivers.mu.Unlock()
	}

	select {
	case r.slots <- struct{}{}:
	default:
		timeout := time.NewTimer(turnTimeout)
		defer timeout.Stop()
		select {
		case r.slots <- struct{}{}:
		case <-timeout.C:
			leave()
			return nil, errBusy
		case <-ctx.Done():
			leave()
			return nil, ctx.Err()
		}
	}
	end = func() { <-r.slots; leave() }
	if r.limiter != nil {
		turn := r.limiter.Reserve()
		wait := turn.Delay()
		if wait > turnTimeout {
			turn.Cancel()
			end()
			sleep(ctx, busyPause)
			return nil, errBusy
		}
		if sleep(ctx, wait); ctx.Err() != nil {
			end()
			return nil, ctx.Err()
		}
	}
	return end, nil
}
