// Package logchannel writes notifications to a log, one line for each.
//
// # URL
//
// None: the caller passes a [slog.Handler].
//
// # Delivery semantics
//
// A notification is sent once its line is written: "Received order" with
// event_id, order_id, user_id, product and quantity, at level info. A repeat has
// the same event_id.
//
// # Failure
//
// An error of the handler, such as a full disk or a closed pipe, is an outage of
// the receiver. Send marks it by [ports.Postpone], so the notification comes again
// and the attempt does not count. A handler that ignores its context blocks Send
// as long as its output blocks.
package logchannel

import (
	"context"
	"log/slog"
	"time"

	"example.com/orderflow/ports"
)

// Channel writes notifications to a log.
type Channel struct {
	handler slog.Handler
}

var _ ports.Channel = (*Channel)(nil)

// New returns a channel that writes to the handler, even if the handler is not
// enabled for level info. A nil handler means that of slog.Default().
func New(handler slog.Handler) *Channel {
	if handler == nil {
		handler = slog.Default().Handler()
	}
	return &Channel{handler: handler}
}

// Name returns "log".
func (c *Channel) Name() string { return "log" }

// Send writes the event's line.
func (c *Channel) Send(ctx context.Context, message ports.Outgoing) (ports.Answer, error) {
	if err := ctx.Err(); err != nil {
		return ports.Answer{}, ports.Postpone(err)
	}
	event := message.Event
	o := event.Order
	line := slog.NewRecord(time.Now(), slog.LevelInfo, "Received order", 0)
	line.AddAttrs(
		slog.String("event_id", string(event.ID)),
		slog.String("order_id", string(o.ID)),
		slog.String("user_id", o.UserID),
		slog.String("product", o.Product),
		slog.Int("quantity", o.Quantity),
	)
	return ports.Answer{}, ports.Postpone(c.handler.Handle(ctx, line))
}
