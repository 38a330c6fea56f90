package notification

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// process handles the event within its trace.
func (s *Service) process(ctx context.Context, r *route, event domain.Event) (err error) {
	ctx, end := s.telemetry.Processing(ctx, r.Queue, r.name, &event)
	result := "again" // also if the handler panics
	defer func() {
		end(err)
		s.telemetry.Handled(ctx, r.name, result)
	}()
	err = s.handle(ctx, r, event)
	switch {
	case err == nil:
		result = "done"
	case ports.IsPermanent(err):
		result = "dead"
	}
	return err
}

// handle claims a notification for each of the event's recipients, and delivers all
// that are not recorded yet. What is not sent is recorded with its event and waits in
// the delivery log, so the message is done. handle returns the first of these that
// applies:
//   - an error marked by [ports.Postpone] if the delivery log is unavailable, another
//     notifier has a claim, or ctx ends
//   - an error marked by [ports.Permanent] if a notification is dead
//   - nil
//
// A crash between sending and recording repeats the notification. No crash loses one.
func (s *Service) handle(ctx context.Context, r *route, event domain.Event) error {
	jobs, errs := s.claimAll(ctx, r, event)
	if len(jobs) == 1 {
		_, err := s.deliver(ctx, r, jobs[0])
		errs = append(errs, err)
	} else if len(jobs) > 1 { // all at once, so that a slow recipient delays no other
		results := make([]error, len(jobs))
		var sending sync.WaitGroup
		for i, j := range jobs {
			sending.Go(func() { _, results[i] = s.deliver(ctx, r, j) })
		}
		sending.Wait()
		errs = append(errs, results...)
	}
	var postponed, permanent []error
	for _, err := range errs {
		switch {
		case err == nil:
		case ports.IsPermanent(err):
			permanent = append(permanent, err)
		default:
			postponed = append(postponed, err)
		}
	}
	if len(postponed) == 0 {
		return ports.Permanent(errors.Join(permanent...))
	}
	if len(permanent) > 0 { // as text, without their marks
		postponed = append(postponed, fmt.Errorf("%v", errors.Join(permanent...)))
	}
	return errors.Join(postponed...)
}

// claimAll claims all notifications of the event before the first is sent. If one claim
// fails, the event comes again, and none of the notifications was sent before.
func (s *Service) claimAll(ctx context.Context, r *route, event domain.Event) (jobs []job, errs []error) {
	for _, recipient := range r.Recipients() {
		n := domain.Notification{
			EventID: event.ID, Channel: r.name, Recipient: recipient,
			OrderID: event.Order.ID, UserID: event.Order.UserID,
		}
		claim, err := s.claim(ctx, n.Key())
		switch {
		case err == nil:
			jobs = append(jobs, job{claim: claim, claimed: time.Now(), n: n, event: event, fromQueue: true})
		case errors.Is(err, ports.ErrExists):
		case ports.IsPermanent(err):
			errs = append(errs, failed(r, recipient, "check", err))
		default:
			for _, j := range jobs {
				s.release(ctx, j)
			}
			return nil, []error{failed(r, recipient, "check", ports.Postpone(err))}
		}
	}
	return jobs, errs
}

// failed adds the channel, the recipient and the step to err. The cause comes first,
// because lists of dead letters cut long reasons.
func failed(r *route, recipient, what string, err error) error {
	if recipient != "" {
		recipient = " to " + recipient
	}
	return fmt.Errorf("%w (channel %s%s, %s)", err, r.name, recipient, what)
}

// claim waits for an unavailable delivery log until ctx ends. If it returned earlier,
// the event would come again at once.
func (s *Service) claim(ctx context.Context, key domain.NotificationKey) (claim ports.DeliveryClaim, err error) {
	err = s.retry.UntilAvailable(ctx, func() error {
		claim, err = s.deliveries.Claim(ctx, key)
		return err
	})
	if errors.Is(err, ports.ErrClaimed) {
		s.claimed.Note(func(events int) {
			s.log.InfoContext(ctx, "events wait for another notifier's claims; the claims of a dead notifier run out by themselves",
				"postponed_since_last_line", events, "event_id", key.EventID)
		})
	}
	return claim, err
}

// release releases the claim, so that the next attempt need not wait until the claim
// runs out.
func (s *Service) release(ctx context.Context, j job) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordGrace)
	defer cancel()
	if err := j.claim.Release(ctx); err != nil {
		s.log.WarnContext(ctx, "claim on a delivery not released; it will run out", "event_id", j.event.ID, "error", err)
	}
}
