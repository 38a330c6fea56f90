package notification

import (
	"context"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/mask"
)

const (
	recordGrace = 2 * time.Second // for recording an attempt that outlived its context
	maxCode     = 64              // bytes of a receiver's code
	maxReason   = domain.MaxAnswer
)

// sent records that the receiver has accepted the notification.
func (s *Service) sent(ctx context.Context, r *route, j job) error {
	j.n.State, j.n.Reason = domain.Sent, ""
	if err := s.record(ctx, j); err != nil {
		err = failed(r, j.n.Recipient, "record", err)
		s.log.ErrorContext(ctx, "notification sent, but not recorded; it may be sent again", "event_id", j.event.ID, "error", mask.Error(err))
		return postponeUnlessPermanent(err)
	}
	return nil
}

// skip records that nobody wants the notification.
func (s *Service) skip(ctx context.Context, r *route, j job, reason string) error {
	j.n.State, j.n.Reason = domain.Skipped, reason
	return s.settle(ctx, r, j)
}

// wait records that the notification is tried again at next.
func (s *Service) wait(ctx context.Context, r *route, j job, next time.Time, reason string) error {
	j.n.State, j.n.Reason, j.n.NextTry = domain.Retrying, cut(reason, maxReason), domain.TruncateTime(next)
	return s.settle(ctx, r, j)
}

const (
	minHeldCheck = time.Hour // from one check of a held notification to the next
	maxHeldCheck = 12 * time.Hour
)

// hold records that the pause holds the notification until it ends. NextTry is a safety
// net, in case the pause disappears without a drain. It is later for an older pause, so
// that a long pause costs few checks.
func (s *Service) hold(ctx context.Context, r *route, j job, pause ports.Pause) error {
	at := now()
	if j.n.State == domain.Held && j.n.HeldBy == pause.PauseKey && j.n.NextTry.After(at) && !j.tried {
		s.release(ctx, j) // claimed for a drain, but paused again meanwhile: the record stays as it is
		return nil
	}
	j.n.State, j.n.HeldBy, j.n.Reason = domain.Held, pause.PauseKey, cut(pause.Reason, maxReason)
	j.n.NextTry = at.Add(min(max(at.Sub(pause.Since), minHeldCheck), maxHeldCheck))
	return s.settle(ctx, r, j)
}

// giveUp records that the notification is dead. Its event becomes a dead letter.
//
// If the event came by the queue, the consumer sets it aside after the record. After a
// crash in between, the event comes again. The notification is tried once more, because
// a dead one is claimed again, and the event is set aside then.
//
// If the event came from the delivery log, giveUp sets it aside before the record. After a
// crash in between, the notification is tried once more. If that fails, the event is set
// aside again, and the dead letters keep one record of both. If the dead-letter queue is
// unavailable, the notification waits for it.
func (s *Service) giveUp(ctx context.Context, r *route, j job, cause error) error {
	cause = failed(r, j.n.Recipient, "send", mask.Error(cause))
	at := now()
	if !j.fromQueue {
		err := s.deadLetters.SetAside(ctx, r.Subscription, j.event, ports.Failure{
			Reason: cause.Error(), Attempts: max(j.n.Attempt, 1), FirstFailure: firstFailure(j.n, at), LastFailure: at,
		})
		if err != nil {
			s.setAside.Down(ctx, s.log, "dead letters can't be set aside; their notifications wait", err, "channel", r.name)
			return s.wait(ctx, r, j, at.Add(time.Minute), cause.Error())
		}
		s.setAside.Up(ctx, s.log, "dead letters are set aside again")
	}
	j.n.State, j.n.Reason = domain.Dead, cut(cause.Error(), maxReason)
	if err := s.settle(ctx, r, j); err != nil {
		return err
	}
	s.dead.Note(func(count int) {
		s.log.WarnContext(ctx, "notifications were given up; their events are dead letters", "since_last_line", count,
			"channel", r.name, "event_id", j.event.ID, "attempts", j.n.Attempt, "error", cause)
	})
	s.alert(GivenUp, r, j.n.Receiver, j, cause.Error(), firstFailure(j.n, at))
	return ports.Permanent(cause)
}

// firstFailure returns when the first of the notification's attempts began that count, as
// far as they are kept; at if there is none. Those before a replay do not count any more.
func firstFailure(n domain.Notification, at time.Time) time.Time {
	counted := 0
	for i := len(n.Attempts) - 1; i >= 0 && counted < n.Attempt; i-- {
		if n.Attempts[i].Outcome != domain.Unreachable {
			at = n.Attempts[i].At
			counted++
		}
	}
	return at
}

// settle records the notification, in any state but Sent.
func (s *Service) settle(ctx context.Context, r *route, j job) error {
	if err := s.record(ctx, j); err != nil {
		s.release(ctx, j)
		return postponeUnlessPermanent(failed(r, j.n.Recipient, "record", err))
	}
	return nil
}

// record waits for an unavailable delivery log until ctx ends, because a notification
// that was sent and not recorded is sent again.
func (s *Service) record(ctx context.Context, j job) error {
	n := j.n
	n.At = now()
	if n.State != domain.Held {
		n.HeldBy = domain.PauseKey{}
	}
	if !n.State.Waits() {
		n.NextTry = time.Time{}
	}
	if ctx.Err() != nil {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordGrace)
		defer cancel()
		ctx = grace
	}
	err := s.retry.UntilAvailable(ctx, func() error { return j.claim.Record(ctx, n, j.event) })
	if err == nil {
		s.telemetry.Recorded(ctx, n.Channel, string(n.State))
		if n.State == domain.Sent {
			s.telemetry.Notified(ctx, n.Channel, time.Since(j.event.Time))
		}
	}
	return err
}

func postponeUnlessPermanent(err error) error {
	if ports.IsPermanent(err) {
		return err
	}
	return ports.Postpone(err)
}

// alert alerts the operator about the job's notification.
func (s *Service) alert(kind AlertKind, r *route, receiver string, j job, answer string, since time.Time) {
	a := Alert{
		Kind: kind, Channel: r.name, Receiver: receiver, Answer: cut(answer, maxReason), Since: since,
		EventID: j.n.EventID, OrderID: j.n.OrderID, Recipient: j.n.Recipient, Attempts: j.n.Attempt,
	}
	if kind == GivenUp {
		a.Notifications = 1
	}
	s.alerts.Alert(a)
}
