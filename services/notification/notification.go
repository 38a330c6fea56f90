package notification

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/retry"
	"example.com/orderflow/services/internal/wiring"
)

// Service notifies users of events.
type Service struct {
	deliveries ports.DeliveryLog
	channels   []ports.Channel
	log        *slog.Logger
	retry      retry.Store
	claimed    claimedLog
}

// NewService returns a service that sends every event by every channel and records
// that in the delivery log. It returns an error if
//   - the delivery log or a channel is nil, or no channel is given
//   - the log's claims last 30 s or less, the time that a handler may take
//   - a channel's name is not 1 to 32 visible ASCII characters, or is another's, too
//
// If log is nil, the service uses slog.Default().
func NewService(deliveries ports.DeliveryLog, log *slog.Logger, channels ...ports.Channel) (*Service, error) {
	const what = "notification service"
	if err := wiring.Check(what, wiring.Part{Name: "a delivery log", Given: deliveries}); err != nil {
		return nil, err
	}
	if lease := deliveries.ClaimLease(); lease <= handlerTimeout {
		return nil, fmt.Errorf("%s: the delivery log's claims last %v; they must last longer than the %v that a handler may take, or another notifier repeats its notifications", what, lease, handlerTimeout)
	}
	if err := checkChannels(channels); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	log = wiring.Logger(log)
	return &Service{
		deliveries: deliveries, channels: slices.Clone(channels), log: log,
		retry: retry.Store{Waiting: "notifications", Log: log},
	}, nil
}

const (
	handlerTimeout = 30 * time.Second // the consumers' default
	maxChannelName = 32
)

func checkChannels(channels []ports.Channel) error {
	if len(channels) == 0 {
		return errors.New("no channel was given; the service would acknowledge events without notifying anybody")
	}
	names := make(map[string]bool, len(channels))
	for i, channel := range channels {
		if wiring.IsNil(channel) {
			return fmt.Errorf("channel %d of %d is nil", i+1, len(channels))
		}
		name := channel.Name()
		switch {
		case name == "" || len(name) > maxChannelName || strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' }):
			return fmt.Errorf("channel %d of %d is named %q; a name is 1 to %d visible ASCII characters", i+1, len(channels), name, maxChannelName)
		case names[name]:
			return fmt.Errorf("two channels are named %q; the delivery log distinguishes channels by their names", name)
		}
		names[name] = true
	}
	return nil
}

// Handle sends the event by each channel for which the delivery log has no record of
// it. It is a [ports.Handler] and returns the first of these that applies:
//   - an unmarked error if a receiver failed and may succeed later
//   - an error marked by [ports.Postpone] if the delivery log or a receiver is
//     unavailable, or another notifier has the claim
//   - an error marked by [ports.Permanent] if a channel can never send the event
//   - nil
func (s *Service) Handle(ctx context.Context, delivery ports.Delivery) error {
	var failed, postponed, permanent []error
	for _, channel := range s.channels {
		err := s.notify(ctx, channel, delivery)
		switch {
		case err == nil:
		case ports.IsPostponed(err):
			postponed = append(postponed, err)
		case ports.IsPermanent(err):
			permanent = append(permanent, err)
		default:
			failed = append(failed, err)
		}
	}
	// The errors of one group keep their marks. Those of the other groups become
	// text, because their marks would count, too.
	switch {
	case len(failed) > 0:
		return join(failed, postponed, permanent)
	case len(postponed) > 0:
		return join(postponed, permanent)
	}
	return ports.Permanent(errors.Join(permanent...))
}

func join(errs []error, asText ...[]error) error {
	for _, others := range asText {
		if len(others) > 0 {
			errs = append(errs, fmt.Errorf("%v", errors.Join(others...)))
		}
	}
	return errors.Join(errs...)
}

// notify claims the delivery, sends the notification and records it, in this order.
// A crash between sending and recording repeats the notification; none loses it.
func (s *Service) notify(ctx context.Context, channel ports.Channel, delivery ports.Delivery) error {
	event := delivery.Event
	// The cause comes first, because lists of dead letters cut long reasons.
	failed := func(what string, err error) error {
		return fmt.Errorf("%w (channel %s, %s)", err, channel.Name(), what)
	}

	claim, err := s.claim(ctx, domain.NotificationKey{EventID: event.ID, Channel: channel.Name()})
	switch {
	case errors.Is(err, ports.ErrExists):
		return nil
	case err != nil:
		return failed("check", postponeUnlessPermanent(err))
	}
	if _, err := channel.Send(ctx, ports.Outgoing{ID: string(event.ID), Event: event, Attempt: delivery.Attempt}); err != nil {
		s.release(ctx, claim, event.ID)
		if ctx.Err() != nil { // the receiver took too long, or the service stops
			err = postponeUnlessPermanent(err)
		}
		return failed("send", err)
	}
	notification := domain.Notification{
		EventID: event.ID, OrderID: event.Order.ID, Channel: channel.Name(), State: domain.Sent,
		Attempt: delivery.Attempt, At: domain.TruncateTime(time.Now()),
	}
	if err := s.record(ctx, claim, notification, event); err != nil {
		err = failed("record", err)
		s.log.ErrorContext(ctx, "notification sent, but not recorded; it may be sent again", "event_id", event.ID, "error", err)
		return postponeUnlessPermanent(err)
	}
	return nil
}

func postponeUnlessPermanent(err error) error {
	if ports.IsPermanent(err) {
		return err
	}
	return ports.Postpone(err)
}

// claim waits for an unavailable delivery log until ctx ends. If it returned earlier,
// the event would come again at once.
func (s *Service) claim(ctx context.Context, key domain.NotificationKey) (claim ports.DeliveryClaim, err error) {
	err = s.retry.UntilAvailable(ctx, func() error {
		claim, err = s.deliveries.Claim(ctx, key)
		return err
	})
	if errors.Is(err, ports.ErrClaimed) {
		s.claimed.note(ctx, s.log, key.EventID)
	}
	return claim, err
}

// record waits for an unavailable delivery log until ctx ends: as long as the
// notification is not recorded, a crash makes another notifier repeat it.
func (s *Service) record(ctx context.Context, claim ports.DeliveryClaim, n domain.Notification, event domain.Event) error {
	return s.retry.UntilAvailable(ctx, func() error { return claim.Record(ctx, n, event) })
}

// release releases the claim, so that the next attempt need not wait until the claim
// runs out.
func (s *Service) release(ctx context.Context, claim ports.DeliveryClaim, event domain.EventID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := claim.Release(ctx); err != nil {
		s.log.WarnContext(ctx, "claim on a delivery not released; it will run out", "event_id", event, "error", err)
	}
}

// Sent returns the notifications about the order, oldest first. See
// [ports.DeliveryLog].
func (s *Service) Sent(ctx context.Context, order domain.OrderID) (ports.NotificationPage, error) {
	return s.deliveries.List(ctx, ports.NotificationQuery{OrderID: order, Limit: ports.MaxListLimit})
}

// claimedLog logs that events wait because other notifiers have claimed their
// deliveries. It logs their number once a minute: they may be thousands.
type claimedLog struct {
	mu     sync.Mutex
	events int // since the last line
	last   time.Time
}

func (c *claimedLog) note(ctx context.Context, log *slog.Logger, event domain.EventID) {
	c.mu.Lock()
	c.events++
	events, due := c.events, c.last.IsZero() || time.Since(c.last) >= time.Minute
	if due {
		c.events, c.last = 0, time.Now()
	}
	c.mu.Unlock()
	if due {
		log.InfoContext(ctx, "events wait for another notifier's claims; the claims of a dead notifier run out by themselves",
			"postponed_since_last_line", events, "event_id", event)
	}
}
