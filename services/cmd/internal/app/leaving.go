package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// leavingTimeout bounds the questions about what a stopped service leaves.
const leavingTimeout = time.Second

// Leaving returns the component that says, when the others have stopped, what waits: in
// the delivery log, and in the channels' queues. List it first.
func (c *Common) Leaving(store *Store, broker *Broker, channels *Channels) Component {
	return Component{
		Name: "leaving",
		Run:  func(ctx context.Context) error { <-ctx.Done(); return nil },
		left: func(ctx context.Context) (left []any) {
			add := func(name, value string, err error) {
				switch {
				case errors.Is(err, ports.ErrNotFound): // nothing has been consumed from the queue
				case err != nil:
					left = append(left, name, "unknown")
				default:
					left = append(left, name, value)
				}
			}
			for _, state := range []domain.NotificationState{domain.Retrying, domain.Held} {
				page, err := store.Deliveries.List(ctx, ports.NotificationQuery{States: []domain.NotificationState{state}, Limit: ports.MaxListLimit})
				n := fmt.Sprint(len(page.Notifications) + page.Unreadable)
				if page.NextCursor != "" {
					n += " or more"
				}
				add(string(state), n, err)
			}
			for _, opened := range channels.opened {
				depth, err := broker.Queue(opened.name).Depth(ctx)
				add("in_queue_"+opened.name, fmt.Sprint(depth.Ready), err)
			}
			return left
		},
	}
}

// leaves returns what the components leave, as attributes of a log line.
func (c *Common) leaves(components []Component) (left []any) {
	ctx, cancel := context.WithTimeout(context.Background(), min(leavingTimeout, c.closeTimeout()))
	defer cancel()
	for _, component := range components {
		if component.left != nil {
			left = append(left, component.left(ctx)...)
		}
	}
	return left
}
