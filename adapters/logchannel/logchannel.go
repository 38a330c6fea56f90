// Package logchannel notifies by writing to a log: one line a notification,
// for machines to pick up and for people to watch.
//
// # URL
//
// None: it writes to the handler it is given.
//
// # Delivery semantics
//
// A notification is sent once its line is written: "Received order" with
// event_id, order_id, user_id, product and quantity, at level info. A repeat
// can be told by its event_id.
//
// # Failure
//
// An error of the handler, such as of a full disk or a reader that has gone, is
// an outage of the receiver and not the event's fault: it is marked by
// [ports.Postpone], and the notification comes again without an attempt counted.
// A handler that blocks, because nobody reads what it writes, blocks the channel;
// one that heeds its context does not.
package logchannel

import (
	"context"
	"log/slog"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// Channel writes notifications to a log.
type Channel struct {
	handler slog.Handler
}

var _ ports.Channel = (*Channel)(nil)

// New returns a channel that writes to the handler, whatever level the handler
// is enabled for: a notification is no log line that a level may leave out. A
// nil handler is that of slog.Default().
func New(handler slog.Handler) *Channel {
	if handler == nil {
		handler = slog.Default().Handler()
	}
	return &Channel{handler: handler}
}

// Name returns "log".
func (c *Channel) Name() string { return "log" }

// Send writes the line of the event. Its errors are those of the handler, marked
// by [ports.Postpone].
func (c *Channel) Send(ctx context.Context, event domain.Event) error {
	if err := ctx.Err(); err != nil {
		return ports.Postpone(err)
	}
	o := event.Order
	line := slog.NewRecord(time.Now(), slog.LevelInfo, "Received order", 0)
	line.AddAttrs(
		slog.String("event_id", string(event.ID)),
		slog.String("order_id", string(o.ID)),
		slog.String("user_id", o.UserID),
		slog.String("product", o.Product),
		slog.Int("quantity", o.Quantity),
	)
	return ports.Postpone(c.handler.Handle(ctx, line))
}
