package notification

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/retry"
	"example.com/orderflow/services/internal/wiring"
)

// Service tells users of events.
type Service struct {
	deliveries ports.DeliveryLog
	channels   []ports.Channel
	log        *slog.Logger
	store      retry.Store
	claimed    claimed
}

// NewService returns a service that sends every event by every channel, and
// keeps in the delivery log what was sent. It returns an error without a
// delivery log or a channel, for a log whose claims last no longer than a handler
// may take by default, 30 s, for a channel without a proper name, and for two of
// one name, which would take each other's notifications for sent. Without a
// logger it uses slog.Default().
func NewService(deliveries ports.DeliveryLog, log *slog.Logger, channels ...ports.Channel) (*Service, error) {
	const what = "notification service"
	if err := wiring.Check(what, wiring.Part{Name: "a delivery log", Given: deliveries}); err != nil {
		return nil, err
	}
	if lease := deliveries.ClaimLease(); lease <= handlerTime {
		return nil, fmt.Errorf("%s: the delivery log's claims last %v; a handler may take %v, and another notifier would send the same again, so they must last longer", what, lease, handlerTime)
	}
	if err := checkChannels(channels); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	log = wiring.Logger(log)
	return &Service{
		deliveries: deliveries, channels: slices.Clone(channels), log: log,
		store: retry.Store{Waiting: "notifications", Log: log},
	}, nil
}

const (
	handlerTime        = 30 * time.Second // which consumers give a handler where nothing else is set
	longestChannelName = 32
)

func checkChannels(channels []ports.Channel) error {
	if len(channels) == 0 {
		return errors.New("no channel was given; it would acknowledge events and tell nobody")
	}
	names := make(map[string]bool, len(channels))
	for i, channel := range channels {
		if wiring.IsNil(channel) {
			return fmt.Errorf("channel %d of %d is nil", i+1, len(channels))
		}
		name := channel.Name()
		switch {
		case name == "" || len(name) > longestChannelName || strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' }):
			return fmt.Errorf("channel %d of %d is named %q; a name is 1 to %d visible ASCII characters", i+1, len(channels), name, longestChannelName)
		case names[name]:
			return fmt.Errorf("two channels are named %q; the delivery log tells channels by their names", name)
		}
		names[name] = true
	}
	return nil
}

// Handle sends the event by every channel that the delivery log does not show
// it sent by. It is a [ports.Handler]: nil once each has it; an error marked
// by [ports.Permanent] if the channels that have not never will; one marked by
// [ports.Postpone] if no receiver has refused it: the delivery log or a receiver
// is out of reach, or another notifier holds the claim.
func (s *Service) Handle(ctx context.Context, delivery ports.Delivery) error {
	var failed, postponed, never []error
	for _, channel := range s.channels {
		err := s.notify(ctx, channel, delivery)
		switch {
		case err == nil:
		case ports.IsPostponed(err):
			postponed = append(postponed, err)
		case ports.IsPermanent(err):
			never = append(never, err)
		default:
			failed = append(failed, err)
		}
	}
	// One verdict for all channels: the others' errors go along as text, or
	// their marks would count too.
	switch {
	case len(failed) > 0:
		return join(failed, postponed, never)
	case len(postponed) > 0:
		return join(postponed, never)
	}
	return ports.Permanent(errors.Join(never...))
}

func join(errs []error, asText ...[]error) error {
	for _, others := range asText {
		if len(others) > 0 {
			errs = append(errs, fmt.Errorf("%v", errors.Join(others...)))
		}
	}
	return errors.Join(errs...)
}

// notify checks, sends, records, in this order: a process that dies between
// sending and recording leaves a notification that will be sent again, never
// one that was not sent.
func (s *Service) notify(ctx context.Context, channel ports.Channel, delivery ports.Delivery) error {
	event := delivery.Event
	// The cause comes first: lists of dead letters show only a reason's beginning.
	failed := func(what string, err error) error {
		return fmt.Errorf("%w (channel %s, %s)", err, channel.Name(), what)
	}

	claim, err := s.claim(ctx, event.ID, channel.Name())
	switch {
	case errors.Is(err, ports.ErrExists):
		return nil
	case err != nil:
		return failed("check", notOfTheEvent(err))
	}
	if err := channel.Send(ctx, event); err != nil {
		s.release(ctx, claim, event.ID)
		if ctx.Err() != nil { // the receiver took too long, or the service stops: nobody has refused
			err = notOfTheEvent(err)
		}
		return failed("send", err)
	}
	notification := domain.Notification{
		EventID: event.ID, OrderID: event.Order.ID, Channel: channel.Name(),
		Attempt: delivery.Attempt, SentAt: domain.TruncateTime(time.Now()),
	}
	if err := s.record(ctx, claim, notification); err != nil {
		err = failed("record", err)
		s.log.ErrorContext(ctx, "a notification is out, but not recorded; it may go out again", "event_id", event.ID, "error", err)
		return notOfTheEvent(err)
	}
	return nil
}

// notOfTheEvent marks an error as one that costs no attempt, unless it says that
// no repetition will help.
func notOfTheEvent(err error) error {
	if ports.IsPermanent(err) {
		return err
	}
	return ports.Postpone(err)
}

// claim waits for a delivery log that is away as long as the handler may: the
// event would only come straight back.
func (s *Service) claim(ctx context.Context, event domain.EventID, channel string) (claim ports.DeliveryClaim, err error) {
	err = s.store.UntilAvailable(ctx, func() error {
		claim, err = s.deliveries.Claim(ctx, event, channel)
		return err
	})
	if errors.Is(err, ports.ErrClaimed) {
		s.claimed.note(ctx, s.log, event)
	}
	return claim, err
}

// record tries as long as the handler may: the notification is out, and every
// moment in which the log does not know it is one in which a crash repeats it.
func (s *Service) record(ctx context.Context, claim ports.DeliveryClaim, n domain.Notification) error {
	return s.store.UntilAvailable(ctx, func() error { return claim.Record(ctx, n) })
}

// release gives the claim back, so that the next attempt need not wait until
// it runs out; if that fails, it runs out.
func (s *Service) release(ctx context.Context, claim ports.DeliveryClaim, event domain.EventID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := claim.Release(ctx); err != nil {
		s.log.WarnContext(ctx, "claim on a notification not released; it runs out", "event_id", event, "error", err)
	}
}

// Sent returns what was sent about the order, oldest first.
func (s *Service) Sent(ctx context.Context, order domain.OrderID) (ports.NotificationList, error) {
	return s.deliveries.List(ctx, order)
}
