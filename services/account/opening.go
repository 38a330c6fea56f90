package account

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/wiring"
)

const (
	openRetry   = 2 * time.Second        // between two tries while a part does not answer
	quietTries  = 20                     // to find a moment in which nothing moves
	quietTime   = 250 * time.Millisecond // of such a moment
	maxUnderWay = 8192                   // events that a relay has published and not marked, at most
)

// RunOpening closes the accounts of recipients that the channels don't have any more, opens
// those of the recipients that have none, and returns. It needs the orders' account; without,
// it returns at once. It waits until the channels' queues exist.
//
// What was published and is neither recorded nor in the queue was before. That is exact
// while nothing moves. RunOpening looks for such a moment for some seconds, and otherwise
// notes how many events may have been under way. Then it goes on until nothing has moved for
// a minute, and corrects the number.
func (o *Office) RunOpening(ctx context.Context, log *slog.Logger) {
	if o.parts.Orders == nil || wiring.IsNil(o.parts.Deliveries) {
		return
	}
	log = wiring.Logger(log)
	tries := 0
	for done := false; !done && ctx.Err() == nil; {
		var moving bool
		var err error
		done, moving, err = o.open(ctx, tries >= quietTries)
		switch {
		case err != nil:
			log.DebugContext(ctx, "accounts could not be opened; it is tried again", "error", err)
			sleep(ctx, openRetry)
		case moving:
			tries++
		case !done:
			sleep(ctx, openRetry)
		}
	}
	for certain := false; !certain && ctx.Err() == nil; {
		var err error
		if certain, err = o.settle(ctx); err != nil {
			log.DebugContext(ctx, "accounts could not be corrected; it is tried again", "error", err)
		}
		if !certain {
			sleep(ctx, settleTime/6)
		}
	}
}

// settle corrects the openings of which it is uncertain how many events were before, if
// nothing has moved for long and no event waits: then none is under way. It reports whether
// all openings are certain.
func (o *Office) settle(ctx context.Context) (certain bool, err error) {
	openings, err := o.parts.States.Openings(ctx)
	if err != nil {
		return false, err
	}
	openings = slices.DeleteFunc(openings, func(o ports.Opening) bool { return o.Uncertain == 0 })
	if len(openings) == 0 {
		return true, nil
	}
	a := o.draw(ctx)
	certain = true
	for _, opening := range openings {
		i := slices.IndexFunc(a.Recipients, func(r Recipient) bool {
			return r.Channel == opening.Channel && r.DeliveryAccount.Recipient == opening.Recipient && r.Configured
		})
		if i < 0 && len(a.Faults) == 0 {
			continue // another notifier has it
		}
		certain = false
		if i < 0 || a.Recipients[i].Events == nil || !o.stays(a.Recipients[i]) {
			continue
		}
		r := a.Recipients[i]
		if r.InQueue > 0 || a.Orders.Waiting.N > 0 || max(r.Difference, -r.Difference) > opening.Uncertain {
			continue
		}
		if err := o.parts.States.Close(ctx, opening.Channel, opening.Recipient); err != nil {
			return false, err
		}
		opening.Before, opening.Uncertain = opening.Before+r.Difference, 0
		if err := o.parts.States.Open(ctx, opening); err != nil && !errors.Is(err, ports.ErrExists) {
			return false, err
		}
	}
	return certain, nil
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// open opens what can be opened. It reports whether nothing is left, and whether something
// moves, unless it is told to open accounts anyway.
func (o *Office) open(ctx context.Context, anyway bool) (done, moving bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	openings, err := o.parts.States.Openings(ctx)
	if err != nil {
		return false, false, err
	}
	isOpen := func(key recipient) bool {
		return slices.ContainsFunc(openings, func(o ports.Opening) bool { return o.Channel == key.channel && o.Recipient == key.name })
	}
	for _, opening := range openings {
		isOf := func(c Channel) bool {
			return c.Name == opening.Channel && !slices.Contains(c.Recipients, opening.Recipient)
		}
		if slices.ContainsFunc(o.parts.Channels, isOf) {
			if err := o.parts.States.Close(ctx, opening.Channel, opening.Recipient); err != nil {
				return false, false, err
			}
		}
	}
	done = true
	for _, channel := range o.parts.Channels {
		closed := slices.DeleteFunc(slices.Clone(channel.Recipients), func(name string) bool { return isOpen(recipient{channel.Name, name}) })
		if len(closed) == 0 {
			continue
		}
		first, err := o.look(ctx, channel)
		if errors.Is(err, ports.ErrNotFound) { // its queue does not exist yet
			done = false
			continue
		}
		if err != nil {
			return false, false, err
		}
		sleep(ctx, quietTime)
		second, err := o.look(ctx, channel)
		if err != nil {
			return false, false, err
		}
		quiet := first.equals(second)
		if !quiet && !anyway {
			done, moving = false, true
			continue
		}
		for _, name := range closed {
			opening := ports.Opening{Channel: channel.Name, Recipient: name, Before: second.before(name), Uncertain: second.depth.Hidden}
			if second.totals[name] == 0 {
				opening.At = domain.TruncateTime(time.Now())
			}
			if !quiet {
				opening.Uncertain += min(second.orders.Waiting.N, maxUnderWay) + second.depth.Taken
			}
			if err := o.parts.States.Open(ctx, opening); err != nil && !errors.Is(err, ports.ErrExists) {
				return false, false, err
			}
		}
	}
	return done, moving, nil
}

// snapshot is what is known of a channel at one moment.
type snapshot struct {
	orders ports.OutboxAccount
	depth  ports.QueueDepth
	totals map[string]int // notifications, by recipient
}

func (o *Office) look(ctx context.Context, channel Channel) (s snapshot, err error) {
	if s.orders, err = o.parts.Orders(ctx); err != nil {
		return s, err
	}
	if s.depth, err = channel.Queue.Depth(ctx); err != nil {
		return s, err
	}
	deliveries, err := o.parts.Deliveries.Account(ctx)
	s.totals = make(map[string]int)
	for _, d := range deliveries {
		if d.Channel == channel.Name {
			s.totals[d.Recipient] = d.Total()
		}
	}
	return s, err
}

// before returns how many events were published before the recipient's first one.
func (s snapshot) before(recipient string) int {
	return max(s.orders.Published-s.totals[recipient]-s.depth.Total(), 0)
}

func (s snapshot) equals(t snapshot) bool {
	return s.orders == t.orders && s.depth == t.depth && maps.Equal(s.totals, t.totals)
}
