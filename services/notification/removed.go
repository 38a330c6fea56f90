package notification

import (
	"context"
	"errors"
	"slices"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/retry"
	"example.com/orderflow/services/internal/wiring"
)

// checkRemovedChannels registers the routes' channels. It logs what earlier channels
// without a route still hold, and deletes none of it. It waits for store and broker
// until ctx ends.
func (s *Service) checkRemovedChannels(ctx context.Context) {
	var configured, known []string
	for _, r := range s.routes {
		configured = append(configured, r.name)
	}
	registered := s.untilDone(ctx, func(ctx context.Context) (err error) {
		known, err = s.states.Register(ctx, configured...)
		return err
	})
	if !registered {
		return
	}
	for _, name := range known {
		if slices.Contains(configured, name) {
			continue
		}
		if !s.untilDone(ctx, func(ctx context.Context) error { return s.checkRemoved(ctx, name) }) {
			return
		}
	}
}

// checkRemoved logs what the channel holds. It forgets the channel's name once its queue
// does not exist and no notification waits.
func (s *Service) checkRemoved(ctx context.Context, name string) error {
	waits, err := anyWaits(ctx, s.deliveries, name)
	if err != nil {
		return err
	}
	if s.queue != nil {
		queue := s.queue(name)
		if wiring.IsNil(queue) {
			return nil
		}
		depth, err := queue.Depth(ctx)
		switch {
		case errors.Is(err, ports.ErrNotFound) && !waits:
			return s.states.Forget(ctx, name)
		case errors.Is(err, ports.ErrNotFound):
		case err != nil:
			return err
		default:
			attributes := []any{"channel", name, "events", depth.Ready}
			if q, ok := queue.(interface{ DeleteCommand() string }); ok {
				attributes = append(attributes, "delete_command", q.DeleteCommand())
			}
			s.log.WarnContext(ctx, "a queue belongs to no configured channel, and goes on collecting events; "+
				"configure the channel, or delete its queue", attributes...)
		}
	}
	if waits {
		s.log.WarnContext(ctx, "notifications of a channel that is not configured wait in the delivery log; "+
			"they go on once it is configured", "channel", name)
	}
	return nil
}

// anyWaits reports whether a notification by the channel waits.
func anyWaits(ctx context.Context, deliveries ports.DeliveryLog, channel string) (bool, error) {
	page, err := deliveries.List(ctx, ports.NotificationQuery{
		Channel: channel, States: []domain.NotificationState{domain.Retrying, domain.Held}, Limit: 1,
	})
	return len(page.Notifications) > 0, err
}

// untilDone repeats the call until it succeeds. It returns false once ctx has ended.
func (s *Service) untilDone(ctx context.Context, call func(context.Context) error) (done bool) {
	retry.Until(ctx, time.Minute, func() bool {
		own, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		err := call(own)
		if done = err == nil; !done {
			s.log.DebugContext(ctx, "looking for channels that are not configured any more failed; it is tried again", "error", err)
		}
		return done
	})
	return done
}
