package account

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"example.com/orderflow/ports"
)

// unreadable is a queue of dead letters that keeps what it can't hand over in a queue of its
// own. Nobody reads that queue.
type unreadable interface {
	UnreadableDepth(ctx context.Context) (ports.QueueDepth, error)
}

// drawUnread looks for messages that nobody will read: in the queues of channels that are not
// configured any more, and in the one of messages that can't be read, which has no channel.
func (o *Office) drawUnread(ctx context.Context, a *Account) {
	ctx, cancel := context.WithTimeout(ctx, partTimeout)
	defer cancel()
	note := func(part, channel string, depth ports.QueueDepth, err error) {
		switch {
		case errors.Is(err, ports.ErrNotFound):
		case err != nil:
			a.fault(part, err)
		case depth.Total() > 0 && depth.Consumers == 0:
			a.Unread = append(a.Unread, Queue{Channel: channel, QueueDepth: depth})
		}
	}
	if q, ok := o.parts.DeadLetterQueue.(unreadable); ok {
		depth, err := q.UnreadableDepth(ctx)
		note("queue of unreadable messages", "", depth, err)
	}
	if o.parts.QueueOf == nil {
		return
	}
	known, err := o.parts.States.Register(ctx)
	if err != nil {
		a.fault("known channels", err)
	}
	for _, name := range known {
		if slices.ContainsFunc(o.parts.Channels, func(c Channel) bool { return c.Name == name }) {
			continue
		}
		if queue := o.parts.QueueOf(name); queue != nil {
			depth, err := queue.Depth(ctx)
			note("queue of channel "+name, name, depth, err)
		}
	}
	slices.SortFunc(a.Unread, func(a, b Queue) int { return cmp.Compare(a.Channel, b.Channel) })
}
