package notification

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/mask"
)

// A receiver is paused after this many failures without a success in between.
const (
	maxUnreachable = 3  // one may be a lost connection; three are an outage, and each costs up to sendTimeout
	maxRefused     = 10 // a refusal may be about one notification; ten are about the receiver
)

// The time between two probes of a paused receiver.
const (
	firstProbe   = time.Second
	longestProbe = time.Minute
	longestAsked = time.Hour        // the longest Retry-After that delays the first probe
	emptyProbe   = 10 * time.Second // after a probe that found no held notification to send

	// probeLease keeps other notifiers from probing at the same time. It also ends when
	// this one dies.
	probeLease = turnTimeout + sendTimeout + 5*time.Second
)

// noteSuccess notes that the receiver answers.
func (s *Service) noteSuccess(ctx context.Context, r *route, name string) {
	r.receivers.mu.Lock()
	to := r.receivers.get(name)
	to.unreachable, to.refused = 0, 0
	r.receivers.mu.Unlock()
	if to.outage.IsDown() {
		to.outage.Up(ctx, s.log, "the receiver takes notifications again", "channel", r.name, "receiver", name)
	}
}

// noteFailure notes that the receiver has failed, and pauses it after too many failures.
func (s *Service) noteFailure(ctx context.Context, r *route, name string, j job, outcome domain.Outcome, err error) {
	r.receivers.mu.Lock()
	to := r.receivers.get(name)
	if outcome == domain.Unreachable {
		to.unreachable++
	} else {
		to.refused++
	}
	to.notBefore = now().Add(min(askedDelay(err), longestAsked))
	probe := later(now().Add(probeDelay(0)), to.notBefore)
	broken := to.unreachable >= maxUnreachable || to.refused >= maxRefused
	r.receivers.mu.Unlock()
	if outcome == domain.Unreachable {
		what := "the receiver can't be reached; its notifications wait"
		if j.n.Attempts[len(j.n.Attempts)-1].Code != "" { // it answered
			what = "the receiver takes nothing at the moment; its notifications wait"
		}
		to.outage.Down(ctx, s.log, what, mask.Error(err), "channel", r.name, "receiver", name)
	}
	if broken {
		s.pause(ctx, r, j, ports.Pause{
			PauseKey: domain.PauseKey{Channel: r.name, Receiver: name},
			Kind:     ports.Breaker, Reason: cut(mask.Text(text(err)), maxReason), Since: now(),
			Probe: probe,
		})
	}
}

// switchOff pauses a receiver that wants no notifications any more.
func (s *Service) switchOff(ctx context.Context, r *route, name string, j job, err error) {
	s.pause(ctx, r, j, ports.Pause{
		PauseKey: domain.PauseKey{Channel: r.name, Receiver: name},
		Kind:     ports.Off, Reason: cut(mask.Text(text(err)), maxReason), Since: now(),
	})
}

// pause stores the pause. It replaces one that is being drained, and Off replaces a
// breaker's, but it never replaces a person's. If the store fails, the receiver's next
// failure calls pause again.
func (s *Service) pause(ctx context.Context, r *route, j job, pause ports.Pause) {
	for range 3 { // another notifier may change the pause first
		before, exists := s.pauses.get(pause.PauseKey)
		if exists && before.Kind != ports.Draining && (before.Kind != ports.Breaker || pause.Kind != ports.Off) {
			return
		}
		var err error
		if exists {
			err = s.change(ctx, before, pause)
		} else if err = s.states.Pause(ctx, pause); err == nil {
			s.pauses.put(pause)
		}
		switch {
		case err == nil:
			s.log.WarnContext(ctx, "receiver is paused; its notifications "+effect(pause.Kind),
				"channel", r.name, "receiver", pause.Receiver, "kind", pause.Kind, "reason", pause.Reason)
			s.alert(Paused, r, pause.Receiver, j, pause.Reason, pause.Since)
			return
		case errors.Is(err, ports.ErrExists), errors.Is(err, ports.ErrChanged):
			if s.readPauses(ctx) != nil {
				return
			}
		default:
			return // the callers that wait for the store log its outage
		}
	}
}

func effect(kind ports.PauseKind) string {
	if kind == ports.Off {
		return "to users are skipped, those to configured endpoints are held, until it is resumed"
	}
	return "are held"
}

// probe sends one held notification to find out whether the receiver works again. One
// notifier probes at a time: the one whose Change has moved Probe.
//
// If no notification is held, a later probe sends the next one that is. If a probe an hour
// after the pause began finds none, the pause ends, and the next notification tests the
// receiver.
func (s *Service) probe(ctx context.Context, r *route, before ports.Pause) {
	claimed := before
	claimed.Probe = now().Add(probeLease)
	if s.change(ctx, before, claimed) != nil {
		return
	}
	outcome, err := s.sendHeld(ctx, r, claimed.PauseKey)
	after, at := claimed, now()
	switch {
	case err != nil: // an error of the store; another probe follows after the lease
		return
	case outcome == domain.Accepted, outcome == domain.Rejected, outcome == "" && at.Sub(claimed.Since) >= stuckAfter:
		// Some may be held even if none was tried: the channel is paused, too, or busy.
		after = ports.Pause{PauseKey: claimed.PauseKey, Kind: ports.Draining, Since: at, Reason: claimed.Reason}
	case outcome == "":
		after.Probe = at.Add(max(emptyProbe, probeDelay(claimed.Probes)))
	default:
		after.Probes++
		after.Probe = later(at.Add(probeDelay(after.Probes)), r.receivers.notBefore(after.Receiver))
	}
	if s.change(ctx, claimed, after) != nil {
		return
	}
	if after.Kind == ports.Draining && outcome == "" {
		return
	}
	if after.Kind == ports.Draining {
		s.log.InfoContext(ctx, "receiver works again; its held notifications are sent", "channel", r.name, "receiver", after.Receiver,
			"after", at.Sub(claimed.Since).Round(time.Second).String())
		s.alert(Back, r, after.Receiver, job{}, claimed.Reason, claimed.Since)
		return
	}
	// Alert once: only one probe is the first at or after this time.
	stuck := claimed.Since.Add(stuckAfter)
	if before.Probe.Before(stuck) && !at.Before(stuck) || at.Before(stuck) && !after.Probe.Before(stuck) {
		s.alert(Stuck, r, after.Receiver, job{}, after.Reason, after.Since)
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// probeDelay returns the time until the next probe. It is shortened at random, so that
// receivers that failed together are not probed together.
func probeDelay(failed int) time.Duration {
	delay := min(firstProbe<<min(failed, 10), longestProbe)
	return delay - rand.N(min(delay/2, longestProbe/10))
}

// sendHeld tries to send the notification that the pause has held longest. outcome is
// empty if none was tried.
func (s *Service) sendHeld(ctx context.Context, r *route, by domain.PauseKey) (domain.Outcome, error) {
	for range 10 { // some may go to another receiver, or to nobody, by now
		began := time.Now()
		held, err := s.claimHeld(ctx, by, 1)
		if err != nil || len(held) == 0 {
			return "", err
		}
		if outcome := s.deliverWaiting(ctx, r, waiting(held[0], by), began); outcome != "" {
			return outcome, nil
		}
	}
	return "", ctx.Err()
}

func (s *Service) claimHeld(ctx context.Context, by domain.PauseKey, limit int) ([]ports.WaitingDelivery, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return s.deliveries.ClaimHeld(ctx, by, limit)
}

// end removes the pause.
func (s *Service) end(ctx context.Context, pause ports.Pause) bool {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if s.states.End(ctx, pause) != nil {
		return false
	}
	s.pauses.remove(pause.PauseKey)
	return true
}
