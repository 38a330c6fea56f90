package notification

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"example.com/orderflow/domain"
)

// claimed logs that events wait for claims of other notifiers, which may have
// died: once a minute, for there may be as many as a notifier has in hand.
type claimed struct {
	mu     sync.Mutex
	events int // since the last line
	last   time.Time
}

const claimedAgain = time.Minute

func (c *claimed) note(ctx context.Context, log *slog.Logger, event domain.EventID) {
	c.mu.Lock()
	c.events++
	events, due := c.events, c.last.IsZero() || time.Since(c.last) >= claimedAgain
	if due {
		c.events, c.last = 0, time.Now()
	}
	c.mu.Unlock()
	if due {
		log.InfoContext(ctx, "events wait for another notifier's claims; those of one that has died run out by themselves",
			"postponed_since_last_line", events, "event_id", event)
	}
}
