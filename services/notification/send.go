package notification

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/mask"
)

// job is a claimed notification.
type job struct {
	claim     ports.DeliveryClaim
	claimed   time.Time           // not before it was claimed
	n         domain.Notification // as it was claimed
	event     domain.Event
	fromQueue bool            // the consumer sets the event aside if the notification is dead
	tried     bool            // sent under this claim, whatever the outcome
	probe     domain.PauseKey // the pause that this job probes, and that does not hold it
}

// waiting returns the job of a notification from the delivery log.
func waiting(d ports.WaitingDelivery, probe domain.PauseKey) job {
	return job{claim: d.Claim, claimed: time.Now(), n: d.Notification, event: d.Event, probe: probe}
}

// deliver sends the notification unless it is skipped or held, and records the result.
// outcome is empty if the notification was not tried, or was a probe and went to another
// receiver.
//
// An error marked by [ports.Permanent] is returned when the notification is dead and its
// event has to be set aside. Any other error is returned when nothing was recorded. A
// notification at which anything panics is dead, so that its event is accounted for.
func (s *Service) deliver(ctx context.Context, r *route, j job) (outcome domain.Outcome, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.ErrorContext(ctx, "delivering a notification panicked", "channel", r.name, "event_id", j.event.ID, "stack", string(debug.Stack()))
			err = s.giveUp(ctx, r, j, fmt.Errorf("panicked: %v", p))
		}
	}()
	j.n = withoutOutage(j.n, now())
	if r.isOver(j.n) {
		last := j.n.Attempts[len(j.n.Attempts)-1]
		return "", s.giveUp(ctx, r, j, errors.New(last.Answer))
	}
	to, err := s.target(ctx, r, j.n.Recipient, j.event)
	switch {
	case errors.Is(err, errNotConfigured):
		return "", s.wait(ctx, r, j, now().Add(notConfiguredDelay), err.Error())
	case ports.IsPermanent(err):
		return "", s.giveUp(ctx, r, j, err)
	case err != nil:
		s.release(ctx, j)
		return "", failed(r, j.n.Recipient, "contact", ports.Postpone(err))
	case to.skip != "":
		return "", s.skip(ctx, r, j, to.skip)
	}
	if stopped, err := s.holdIfPaused(ctx, r, j, to); stopped {
		return "", err
	}
	end, err := r.waitForTurn(ctx, to.receiver, j.fromQueue)
	switch {
	case errors.Is(err, errBusy):
		return "", s.wait(ctx, r, j, now().Add(busyDelay(j.n)), err.Error())
	case err != nil:
		s.release(ctx, j)
		return "", failed(r, j.n.Recipient, "send", ports.Postpone(err))
	}
	defer end()
	if stopped, err := s.holdIfPaused(ctx, r, j, to); stopped { // paused while this one waited
		return "", err
	}
	outcome, err = s.attempt(ctx, r, j, to)
	if j.probe != (domain.PauseKey{}) && j.probe.Receiver != to.receiver { // the user has moved
		outcome = ""
	}
	return outcome, err
}

// holdIfPaused holds the notification if its channel or receiver is paused, by a pause that
// was read shortly before, because nobody drains an old one. It skips one to a user whose
// receiver is switched off, by a pause that was read after the claim: the notification may
// be a dead letter that was replayed because the receiver was resumed.
func (s *Service) holdIfPaused(ctx context.Context, r *route, j job, to target) (stopped bool, err error) {
	pause, ok := s.pauses.blocking(r.name, to.receiver)
	if ok {
		since := time.Now().Add(-maxPauseAge)
		if pause.Kind == ports.Off && to.ofUser {
			since = j.claimed
		}
		if err := s.retry.UntilAvailable(ctx, func() error { return s.readPausesSince(ctx, since) }); err != nil {
			s.release(ctx, j)
			return true, failed(r, j.n.Recipient, "pauses", ports.Postpone(err))
		}
		pause, ok = s.pauses.blocking(r.name, to.receiver)
	}
	if !ok || pause.PauseKey == j.probe {
		return false, nil
	}
	if pause.Kind == ports.Off {
		reason := "the receiver wants no notifications any more, since " + pause.Since.Format(time.RFC3339)
		if to.ofUser {
			return true, s.skip(ctx, r, j, reason)
		}
		pause.Reason = reason + "; it is in the configuration, so its notifications are held until it is resumed"
	}
	return true, s.hold(ctx, r, j, pause)
}

// attempt sends the notification and records the attempt.
func (s *Service) attempt(ctx context.Context, r *route, j job, to target) (domain.Outcome, error) {
	began := time.Now()
	answer, err := s.trySend(ctx, r, j, to)
	if err != nil && ctx.Err() != nil && !ports.IsPermanent(err) { // the service stops, or no time is left to record
		s.release(ctx, j)
		return "", failed(r, j.n.Recipient, "send", ports.Postpone(err))
	}
	outcome := ports.OutcomeOf(err)
	j.tried = true
	j.n = withAttempt(j.n, domain.Attempt{
		At: domain.TruncateTime(began), Duration: time.Since(began).Truncate(time.Millisecond), Outcome: outcome,
		Code: cut(answer.Code, maxCode), Answer: cut(cmp.Or(answer.Text, text(err)), domain.MaxAnswer),
	}, to.receiver)

	switch outcome {
	case domain.Accepted:
		s.noteSuccess(ctx, r, to.receiver)
		return outcome, s.sent(ctx, r, j)
	case domain.Rejected:
		s.noteSuccess(ctx, r, to.receiver) // it answered
		if ports.IsGone(err) {
			s.switchOff(ctx, r, to.receiver, j, err)
		}
		return outcome, s.giveUp(ctx, r, j, err)
	case domain.Unreachable:
		s.noteFailure(ctx, r, to.receiver, j, outcome, err)
		if pause, ok := s.pauses.blocking(r.name, to.receiver); ok && pause.Kind != ports.Off {
			return outcome, s.hold(ctx, r, j, pause)
		}
		return outcome, s.wait(ctx, r, j, nextWhenUnreachable(j.n, err), mask.Text(text(err)))
	}
	s.noteFailure(ctx, r, to.receiver, j, outcome, err)
	next, ok := r.nextTry(j.n, err)
	if !ok {
		return outcome, s.giveUp(ctx, r, j, err)
	}
	s.refused.Note(func(count int) {
		s.log.WarnContext(ctx, "notifications were refused; they are tried again", "since_last_line", count, "channel", r.name,
			"event_id", j.event.ID, "attempts", j.n.Attempt, "next_try", next.Format(time.RFC3339), "error", mask.Text(text(err)))
	})
	return outcome, s.wait(ctx, r, j, next, mask.Text(text(err)))
}

// trySend sends the notification within a span.
func (s *Service) trySend(ctx context.Context, r *route, j job, to target) (answer ports.Answer, err error) {
	ctx, end := s.telemetry.Attempt(ctx, r.name, &j.event, j.n.Attempt+1)
	s.telemetry.Sending(r.name)
	began := time.Now()
	answer, err = s.send(ctx, r, j, to)
	outcome := string(ports.OutcomeOf(err))
	s.telemetry.Sent(ctx, r.name, outcome, time.Since(began))
	end(outcome, err)
	return answer, err
}

// send renders and sends the notification within sendTimeout. A panic of the renderer
// or the channel is a permanent error, as in a consumer's handler.
func (s *Service) send(ctx context.Context, r *route, j job, to target) (answer ports.Answer, err error) {
	own, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			s.log.ErrorContext(ctx, "sending a notification panicked", "channel", r.name, "event_id", j.event.ID, "stack", string(debug.Stack()))
			err = ports.Permanent(fmt.Errorf("panicked: %v", p)) // everybody may see it, so the stack stays in the log
		} else if err != nil && own.Err() != nil && !ports.IsPermanent(err) {
			err = ports.Postpone(err) // it took too long
		}
	}()
	message := ports.Outgoing{ID: j.n.Key().String(), Event: j.event, Attempt: j.n.Attempt + 1, Recipient: j.n.Recipient, Address: to.address}
	if r.Renderer != nil {
		if message.Content, err = r.Renderer.Render(j.event, to.language, false); err != nil {
			return ports.Answer{}, ports.Permanent(fmt.Errorf("render the text: %w", err))
		}
	}
	return r.Channel.Send(own, message)
}

// withoutOutage moves the schedule's beginning on by the time since the latest change, if
// the notification was held or its receiver was out of reach: that time does not count.
func withoutOutage(n domain.Notification, at time.Time) domain.Notification {
	unreachable := len(n.Attempts) > 0 && n.Attempts[len(n.Attempts)-1].Outcome == domain.Unreachable
	if !n.First.IsZero() && at.After(n.At) && (n.State == domain.Held || unreachable) {
		n.First = n.First.Add(at.Sub(n.At))
	}
	return n
}

// withAttempt returns the notification with one more attempt.
func withAttempt(n domain.Notification, a domain.Attempt, receiver string) domain.Notification {
	n.Receiver = receiver
	if a.Outcome != domain.Unreachable {
		n.Attempt++
		if n.First.IsZero() {
			n.First = a.At
		}
	}
	earlier := n.Attempts[max(0, len(n.Attempts)-(domain.MaxAttempts-1)):]
	n.Attempts = append(append(make([]domain.Attempt, 0, len(earlier)+1), earlier...), a)
	return n
}

// maxAskedDelay bounds the time that a receiver may ask to wait.
const maxAskedDelay = 24 * time.Hour

// nextTry returns when a refused notification is tried again, which is never before the
// time that the receiver asks for. A try after the horizon is the last one.
func (r *route) nextTry(n domain.Notification, err error) (next time.Time, ok bool) {
	at := now()
	next, ok = r.Schedule.Next(n.Attempt, n.First, at, rand.Float64())
	if !ok {
		return time.Time{}, false
	}
	if asked := at.Add(askedDelay(err)); asked.After(next) {
		next = asked
	}
	return domain.TruncateTime(next), true
}

// isOver reports whether the notification has had its last try, and waits for nothing but
// the dead-letter queue. A replayed one has Attempt 0 and its earlier attempts until it is
// tried again.
func (r *route) isOver(n domain.Notification) bool {
	if n.Attempt == 0 || len(n.Attempts) == 0 || n.State != domain.Retrying {
		return false
	}
	last := n.Attempts[len(n.Attempts)-1]
	return last.Outcome == domain.Rejected || last.Outcome == domain.Refused && !last.At.Before(n.First.Add(r.Schedule.Horizon))
}

func askedDelay(err error) time.Duration {
	asked, _ := ports.RetryDelay(err)
	return min(max(asked, 0), maxAskedDelay)
}

// nextWhenUnreachable returns when a notification whose receiver can't be reached is
// tried again: 1 s after the first such try, at most 5 min after the ninth in a row.
// A breaker may pause the receiver before that.
func nextWhenUnreachable(n domain.Notification, err error) time.Time {
	delay := time.Second
	for i := len(n.Attempts) - 2; i >= 0 && n.Attempts[i].Outcome == domain.Unreachable && delay < 5*time.Minute; i-- {
		delay *= 2
	}
	delay = min(delay, 5*time.Minute)
	delay += time.Duration(rand.Float64() * 0.1 * float64(delay))
	return now().Add(max(delay, askedDelay(err)))
}
