package porttest_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

// lacking makes a harness that lacks the faults with the outcome.
func lacking(outcome domain.Outcome) func() porttest.Channel {
	return func() porttest.Channel {
		c := named("paper")()
		var rest []porttest.ReceiverFault
		for _, fault := range c.Faults {
			if fault.Outcome != outcome {
				rest = append(rest, fault)
			}
		}
		c.Faults = rest
		return c
	}
}

// hanging makes a channel that does something else while its receiver hangs.
func hanging(send func(ctx context.Context, p *paper) error) func() porttest.Channel {
	return sending(func(ctx context.Context, p *paper, message ports.Outgoing) (ports.Answer, error) {
		if _, hangs := p.state(); hangs {
			return ports.Answer{}, send(ctx, p)
		}
		return p.accept(ctx, message.ID)
	})
}

func brokenOutcomes() []broken[porttest.Channel] {
	const (
		refused     = "Send returns an unmarked error when the receiver refuses the notification"
		rejected    = "Send marks its error by Permanent when the receiver rejects the notification"
		unreachable = "Send marks its error by Postpone when the receiver can't be reached"
		code        = "Send returns the receiver's code with an error, too"
		secret      = "Neither Send's answer nor its error contains a secret"
		again       = "Send works again once the receiver does"
		hung        = "Send to a hanging receiver ends with its context"
	)
	return []broken[porttest.Channel]{
		{"a harness without a refusal", refused, "", lacking(domain.Refused)},
		{"a harness without a rejection", rejected, "", lacking(domain.Rejected)},
		{"a harness without an outage", unreachable, "", lacking(domain.Unreachable)},
		{"a harness without an outage, and a channel without addresses", unreachable, "", withoutAddresses(func(c *porttest.Channel) { c.Faults = nil })},

		{"Send takes a refusal for an outage", refused, "", answeringWith(func(answer ports.Answer, err error) (ports.Answer, error) {
			if answer.Code == "4" {
				err = ports.Postpone(err)
			}
			return answer, err
		})},
		{"Send takes a refusal for a rejection", refused, "", answeringWith(func(answer ports.Answer, err error) (ports.Answer, error) {
			if answer.Code == "4" {
				err = ports.Permanent(err)
			}
			return answer, err
		})},
		{"Send takes a refusal for success", refused, "", answeringWith(func(answer ports.Answer, err error) (ports.Answer, error) {
			if answer.Code == "4" {
				err = nil
			}
			return answer, err
		})},
		{"Send loses how long to wait", refused, "", answeringWith(func(answer ports.Answer, err error) (ports.Answer, error) {
			if answer.Code == "4" {
				err = errors.New("refused")
			}
			return answer, err
		})},
		{"Send takes a rejection for a refusal", rejected, "", answeringWith(func(answer ports.Answer, err error) (ports.Answer, error) {
			if ports.IsPermanent(err) && !ports.IsGone(err) {
				err = errors.New(err.Error())
			}
			return answer, err
		})},
		{"Send marks a rejection twice", rejected, "", answeringWith(func(answer ports.Answer, err error) (ports.Answer, error) {
			if ports.IsPermanent(err) {
				err = ports.Postpone(err)
			}
			return answer, err
		})},
		{"Send loses that the receiver is gone", rejected, "", answeringWith(func(answer ports.Answer, err error) (ports.Answer, error) {
			if ports.IsGone(err) {
				err = ports.Permanent(errors.New(err.Error()))
			}
			return answer, err
		})},
		{"Send takes each rejection for the receiver's end", rejected, "", answeringWith(func(answer ports.Answer, err error) (ports.Answer, error) {
			if ports.IsPermanent(err) {
				err = ports.Gone(err)
			}
			return answer, err
		})},
		{"Send counts an outage as an attempt", unreachable, "", sending(func(ctx context.Context, p *paper, message ports.Outgoing) (ports.Answer, error) {
			answer, err := p.accept(ctx, message.ID)
			if fault, _ := p.state(); fault.Outcome == domain.Unreachable {
				err = errors.New(err.Error())
			}
			return answer, err
		})},
		{"Send sends what the receiver refused", refused, "the other outcomes, the repeat", sending(func(ctx context.Context, p *paper, message ports.Outgoing) (ports.Answer, error) {
			answer, err := p.accept(ctx, message.ID)
			if fault, hangs := p.state(); err != nil && fault.Name != "" && !hangs {
				p.mu.Lock()
				defer p.mu.Unlock()
				p.received = append(p.received, message.ID)
			}
			return answer, err
		})},

		{"Send loses the code of an error", code, "", answeringWith(func(answer ports.Answer, err error) (ports.Answer, error) {
			if err != nil {
				answer = ports.Answer{}
			}
			return answer, err
		})},
		{"Send's error has a secret", secret, "", answeringWith(func(answer ports.Answer, err error) (ports.Answer, error) {
			if answer.Code == "5" && !ports.IsGone(err) {
				err = fmt.Errorf("post to shelf:%s: %w", paperSecret, err)
			}
			return answer, err
		})},
		{"Send's answer has a secret", secret, "", answeringWith(func(answer ports.Answer, err error) (ports.Answer, error) {
			answer.Text = "hello, " + paperSecret
			return answer, err
		})},
		{"Send never recovers", again, "clauses that send after an outage", sending(func(ctx context.Context, p *paper, message ports.Outgoing) (ports.Answer, error) {
			answer, err := p.accept(ctx, message.ID)
			if fault, _ := p.state(); fault.Outcome == domain.Unreachable {
				p.send = func(context.Context, *paper, ports.Outgoing) (ports.Answer, error) { return answer, err }
			}
			return answer, err
		})},

		{"Send outlives its context", hung, "", hanging(func(ctx context.Context, p *paper) error {
			time.Sleep(time.Minute)
			return ports.Postpone(ctx.Err())
		})},
		{"Send ends before its context", hung, "", hanging(func(ctx context.Context, p *paper) error {
			return ports.Postpone(errors.New("took too long"))
		})},
		{"Send loses the context's error", hung, "", hanging(func(ctx context.Context, p *paper) error {
			<-ctx.Done()
			return ports.Postpone(errors.New("took too long"))
		})},
		{"Send counts a hanging receiver as an attempt", hung, "", hanging(func(ctx context.Context, p *paper) error {
			<-ctx.Done()
			return ctx.Err()
		})},
		{"Send takes no answer for success", hung, "", hanging(func(ctx context.Context, p *paper) error {
			<-ctx.Done()
			return nil
		})},
		{"Send notices a deadline only", hung, "", hanging(func(ctx context.Context, p *paper) error {
			if _, ok := ctx.Deadline(); !ok {
				time.Sleep(time.Minute)
			}
			<-ctx.Done()
			return ports.Postpone(ctx.Err())
		})},
	}
}
