package porttest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// marks says how the error of an outcome is marked.
var marks = map[domain.Outcome]string{
	domain.Refused:     "an error that is not marked",
	domain.Rejected:    "an error that is marked by Permanent",
	domain.Unreachable: "an error that is marked by Postpone",
}

func checkOutcome(t testing.TB, message ports.Outgoing, what string, err error, want domain.Outcome) {
	t.Helper()
	if got := ports.OutcomeOf(err); got != want || ports.IsPermanent(err) && ports.IsPostponed(err) {
		t.Errorf("Send of %s %s: error %v, want %s", message.ID, what, err, marks[want])
	}
}

// withFaults lets the receiver have each fault with the outcome, one after the other,
// and sends a notification.
func withFaults(t testing.TB, c Channel, outcome domain.Outcome, check func(fault ReceiverFault, message ports.Outgoing, answer ports.Answer, err error)) {
	t.Helper()
	for i, fault := range c.Faults {
		if fault.Outcome != outcome {
			continue
		}
		message := outgoing(c, event(i))
		fault.Begin()
		answer, err := c.Channel.Send(bounded(t), message)
		c.Heal()
		check(fault, message, answer, err)
	}
}

// markedAs returns the clause of an outcome.
func markedAs(name string, outcome domain.Outcome) Clause[Channel] {
	return Clause[Channel]{name, func(t testing.TB, c Channel) {
		_, addressed := c.Channel.(ports.AddressedChannel)
		has := slices.ContainsFunc(c.Faults, func(f ReceiverFault) bool { return f.Outcome == outcome })
		if !has && (addressed || outcome == domain.Unreachable) {
			t.Errorf("the harness has no fault with the outcome %s, want one", outcome)
		}
		withFaults(t, c, outcome, func(fault ReceiverFault, message ports.Outgoing, _ ports.Answer, err error) {
			checkOutcome(t, message, "to a receiver with "+fault.Name, err, outcome)
			if got := ports.IsGone(err); got != fault.Gone {
				t.Errorf("Send of %s to a receiver with %s: error %v is marked by Gone: %t, want %t", message.ID, fault.Name, err, got, fault.Gone)
			}
			if got, _ := ports.RetryDelay(err); got != fault.RetryAfter {
				t.Errorf("Send of %s to a receiver with %s: error %v asks to wait for %v, want %v", message.ID, fault.Name, err, got, fault.RetryAfter)
			}
		})
		checkReceived(t, c)
	}}
}

var outcomes = []domain.Outcome{domain.Refused, domain.Rejected, domain.Unreachable}

var channelFail = []Clause[Channel]{
	markedAs("Send returns an unmarked error when the receiver refuses the notification", domain.Refused),
	markedAs("Send marks its error by Permanent when the receiver rejects the notification", domain.Rejected),
	markedAs("Send marks its error by Postpone when the receiver can't be reached", domain.Unreachable),

	{"Send returns the receiver's code with an error, too", func(t testing.TB, c Channel) {
		for _, outcome := range outcomes {
			withFaults(t, c, outcome, func(fault ReceiverFault, message ports.Outgoing, answer ports.Answer, err error) {
				if answer.Code != fault.Code {
					t.Errorf("Send of %s to a receiver with %s: code %q and error %v, want code %q", message.ID, fault.Name, answer.Code, err, fault.Code)
				}
			})
		}
	}},

	{"Neither Send's answer nor its error contains a secret", func(t testing.TB, c Channel) {
		for _, outcome := range outcomes {
			withFaults(t, c, outcome, func(fault ReceiverFault, _ ports.Outgoing, answer ports.Answer, err error) {
				if err != nil {
					checkSecrets(t, c, "Send's error from a receiver with "+fault.Name, err.Error())
				}
				checkSecrets(t, c, "Send's answer from a receiver with "+fault.Name, answer.Code, answer.Text)
			})
		}
		answer, err := c.Channel.Send(bounded(t), outgoing(c, event(100)))
		must(t, "send", err)
		checkSecrets(t, c, "Send's answer", answer.Code, answer.Text)
	}},

	{"Send works again once the receiver does", func(t testing.TB, c Channel) {
		var want []ports.Outgoing
		for _, outcome := range outcomes {
			withFaults(t, c, outcome, func(fault ReceiverFault, message ports.Outgoing, _ ports.Answer, _ error) {
				message.Attempt++
				if _, err := c.Channel.Send(bounded(t), message); err != nil {
					t.Errorf("Send of %s after %s was over: error %v, want nil", message.ID, fault.Name, err)
				}
				want = append(want, message)
			})
		}
		checkReceived(t, c, want...)
	}},

	// It is unknown whether a hanging receiver has accepted the notification.
	{"Send to a hanging receiver ends with its context", func(t testing.TB, c Channel) {
		send(t, c, outgoing(c, event(1)))
		c.Hang()
		defer c.Heal()
		timeout, cancel := context.WithTimeout(t.Context(), quiet)
		defer cancel()
		checkEndsWith(t, c, timeout, outgoing(c, event(2)))
		stopped, stop := context.WithCancel(t.Context())
		defer stop()
		time.AfterFunc(quiet, stop)
		checkEndsWith(t, c, stopped, outgoing(c, event(2)))
	}},
}

// checkEndsWith fails t unless Send to a hanging receiver ends soon after the context.
func checkEndsWith(t testing.TB, c Channel, ctx context.Context, message ports.Outgoing) {
	t.Helper()
	began := time.Now()
	_, err := c.Channel.Send(ctx, message)
	if took := time.Since(began); took > patience/3 {
		t.Errorf("Send of %s to a hanging receiver took %v, want an end soon after its context's, which was after %v", message.ID, took, quiet)
	}
	if ctx.Err() == nil || !errors.Is(err, ctx.Err()) {
		t.Errorf("Send of %s to a hanging receiver: error %v, want one that wraps %q, after its context has ended", message.ID, err, context.Cause(ctx))
	}
	checkOutcome(t, message, "to a hanging receiver", err, domain.Unreachable)
}
