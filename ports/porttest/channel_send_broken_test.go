package porttest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

// paper is a channel whose receiver is a list. Its functions replace its methods; zero
// ones do nothing special.
type paper struct {
	name     string
	send     func(ctx context.Context, p *paper, message ports.Outgoing) (ports.Answer, error)
	check    func(p *paper, address string) error
	receiver func(p *paper, address string) string

	mu       sync.Mutex
	received []string
	fault    porttest.ReceiverFault
	hangs    bool
}

const (
	paperAddress = "shelf 1"
	paperSecret  = "0pen sesame"
)

func (p *paper) Name() string { return p.name }

func (p *paper) Send(ctx context.Context, message ports.Outgoing) (ports.Answer, error) {
	if p.send != nil {
		return p.send(ctx, p, message)
	}
	return p.accept(ctx, message.ID)
}

func (p *paper) CheckAddress(address string) error {
	if p.check != nil {
		return p.check(p, address)
	}
	if address != paperAddress {
		return errors.New("must be the name of a shelf")
	}
	return nil
}

func (p *paper) Receiver(address string) string {
	if p.receiver != nil {
		return p.receiver(p, address)
	}
	return "library"
}

// accept does what the receiver does.
func (p *paper) accept(ctx context.Context, id string) (ports.Answer, error) {
	failed := func(err error) error { return fmt.Errorf("send %s: %w", id, err) }
	if err := ctx.Err(); err != nil {
		return ports.Answer{}, ports.Postpone(failed(err))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hangs {
		p.mu.Unlock()
		<-ctx.Done()
		p.mu.Lock()
		return ports.Answer{}, ports.Postpone(failed(ctx.Err()))
	}
	answer := ports.Answer{Code: p.fault.Code}
	switch err := failed(errors.New("the receiver has " + p.fault.Name)); p.fault.Outcome {
	case "":
		p.received = append(p.received, id)
		return ports.Answer{Code: "ok"}, nil
	case domain.Refused:
		return answer, ports.RetryAfter(err, p.fault.RetryAfter)
	case domain.Unreachable:
		return answer, ports.Postpone(err)
	default:
		if p.fault.Gone {
			return answer, ports.Gone(err)
		}
		return answer, ports.Permanent(err)
	}
}

func (p *paper) sent() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.received)
}

func (p *paper) state() (fault porttest.ReceiverFault, hangs bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault, p.hangs
}

func (p *paper) set(fault porttest.ReceiverFault, hangs bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault, p.hangs = fault, hangs
}

// paperChannel makes a channel, and its receiver, with the change.
func paperChannel(change func(p *paper)) func() porttest.Channel {
	return func() porttest.Channel {
		p := &paper{name: "paper"}
		change(p)
		c := porttest.Channel{
			Channel:        p,
			Received:       p.sent,
			Address:        paperAddress,
			WrongAddresses: []string{"shelf"},
			Hang:           func() { p.set(porttest.ReceiverFault{}, true) },
			Heal:           func() { p.set(porttest.ReceiverFault{}, false) },
			Secrets:        []string{paperSecret},
		}
		for _, fault := range []porttest.ReceiverFault{
			{Name: "no room", Outcome: domain.Refused, Code: "4"},
			{Name: "no time", Outcome: domain.Refused, Code: "4", RetryAfter: time.Minute},
			{Name: "no interest", Outcome: domain.Rejected, Code: "5"},
			{Name: "no shelf any more", Outcome: domain.Rejected, Code: "5", Gone: true},
			{Name: "no door", Outcome: domain.Unreachable},
		} {
			begun := fault
			fault.Begin = func() { p.set(begun, false) }
			c.Faults = append(c.Faults, fault)
		}
		return c
	}
}

func named(name string) func() porttest.Channel {
	return paperChannel(func(p *paper) { p.name = name })
}

// sending makes a channel with another Send.
func sending(send func(ctx context.Context, p *paper, message ports.Outgoing) (ports.Answer, error)) func() porttest.Channel {
	return paperChannel(func(p *paper) { p.send = send })
}

// answering makes a channel that changes what Send returns.
func answeringWith(change func(answer ports.Answer, err error) (ports.Answer, error)) func() porttest.Channel {
	return sending(func(ctx context.Context, p *paper, message ports.Outgoing) (ports.Answer, error) {
		return change(p.accept(ctx, message.ID))
	})
}

// unaddressed is a channel without addresses.
type unaddressed struct{ ports.Channel }

// withoutAddresses makes a channel without addresses.
func withoutAddresses(change func(c *porttest.Channel)) func() porttest.Channel {
	return func() porttest.Channel {
		c := named("paper")()
		c.Channel, c.Address, c.WrongAddresses = unaddressed{c.Channel}, "", nil
		change(&c)
		return c
	}
}

// renamed has another name after each notification.
type renamed struct{ *paper }

func (r renamed) Name() string { return fmt.Sprint("paper-", len(r.sent())) }

func TestChannelClauses(t *testing.T) {
	clauses := porttest.ChannelClauses()
	checkSuite(t, clauses, named("paper"), slices.Concat(brokenSends(), brokenOutcomes(), brokenAddresses()))
}

// A channel without addresses, whose receiver can only be out of reach, passes.
func TestChannelClausesOfChannelWithoutAddresses(t *testing.T) {
	for _, clause := range porttest.ChannelClauses() {
		if faults := check(t, clause, withoutAddresses(func(c *porttest.Channel) { c.Faults = c.Faults[4:] })); len(faults) > 0 {
			t.Errorf("%s: %s", clause.Name, faults[0])
		}
	}
}

func brokenSends() []broken[porttest.Channel] {
	const name = "Name has 1 to 32 visible characters, and never changes"
	return []broken[porttest.Channel]{
		{"no name", name, "", named("")},
		{"a long name", name, "", named(strings.Repeat("paper", 10))},
		{"a name with a space", name, "", named("news paper")},
		{"a name with a line break", name, "", named("paper\n")},
		{"a name that changes", name, "", func() porttest.Channel {
			c := named("")()
			c.Channel = renamed{c.Channel.(*paper)}
			return c
		}},
		{"Send returns before the receiver has the notification", "Send returns nil once the receiver has accepted the notification", "every clause that looks at the receiver", sending(func(ctx context.Context, p *paper, message ports.Outgoing) (ports.Answer, error) {
			time.AfterFunc(time.Millisecond, func() { p.accept(context.WithoutCancel(ctx), message.ID) })
			return ports.Answer{}, ports.Postpone(ctx.Err())
		})},
		{"Send takes ASCII only", "Send takes every event that keeps the domain's rules", "", sending(func(ctx context.Context, p *paper, message ports.Outgoing) (ports.Answer, error) {
			if strings.ContainsFunc(message.Event.Order.Product, func(r rune) bool { return r > 127 }) {
				return ports.Answer{}, errors.New("send: not ASCII")
			}
			return p.accept(ctx, message.ID)
		})},
		{"Send needs HTML", "Send takes a notification without HTML, one without content, and a test", "", sending(func(ctx context.Context, p *paper, message ports.Outgoing) (ports.Answer, error) {
			if message.Content.HTML == "" {
				return ports.Answer{}, errors.New("send: no HTML")
			}
			return p.accept(ctx, message.ID)
		})},
		{"Send does not send tests", "Send takes a notification without HTML, one without content, and a test", "", sending(func(ctx context.Context, p *paper, message ports.Outgoing) (ports.Answer, error) {
			if message.Test {
				return ports.Answer{}, nil
			}
			return p.accept(ctx, message.ID)
		})},
		{"Send loses a notification of concurrent calls", "Send may be called from several goroutines at once", "", sending(func(ctx context.Context, p *paper, message ports.Outgoing) (ports.Answer, error) {
			before := p.sent()
			time.Sleep(time.Millisecond)
			answer, err := p.accept(ctx, message.ID)
			if err == nil {
				p.mu.Lock()
				defer p.mu.Unlock()
				p.received = append(before, message.ID)
			}
			return answer, err
		})},
		{"Send makes a new id for a repeat", "Send of a notification again uses the same id", "", sending(func(ctx context.Context, p *paper, message ports.Outgoing) (ports.Answer, error) {
			id := message.ID
			if slices.Contains(p.sent(), id) {
				id += fmt.Sprint("-", len(p.sent()))
			}
			return p.accept(ctx, id)
		})},
		{"Send makes the id of the event and the attempt", "Send of a notification again uses the same id", "the repeat after a fault", sending(func(ctx context.Context, p *paper, message ports.Outgoing) (ports.Answer, error) {
			if message.Attempt > 1 {
				message.ID += fmt.Sprint("-", message.Attempt)
			}
			return p.accept(ctx, message.ID)
		})},
		{"Send uses one id for all recipients", "Send uses another id for each recipient of an event", "", sending(func(ctx context.Context, p *paper, message ports.Outgoing) (ports.Answer, error) {
			return p.accept(ctx, strings.Replace(message.ID, "warehouse", domain.UserRecipient, 1))
		})},
		{"Send sends and then fails on an ended context", "Send with an ended context sends nothing", "", sending(func(ctx context.Context, p *paper, message ports.Outgoing) (ports.Answer, error) {
			if err := ctx.Err(); err != nil {
				p.accept(context.WithoutCancel(ctx), message.ID)
				return ports.Answer{}, ports.Postpone(err)
			}
			return p.accept(ctx, message.ID)
		})},
		{"Send counts an ended context as an attempt", "Send with an ended context sends nothing", "", sending(func(ctx context.Context, p *paper, message ports.Outgoing) (ports.Answer, error) {
			if err := ctx.Err(); err != nil {
				return ports.Answer{}, err
			}
			return p.accept(ctx, message.ID)
		})},
	}
}
