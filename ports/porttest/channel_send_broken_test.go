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
	"example.com/orderflow/ports/porttest"
)

// paper is a channel whose receiver is a list.
type paper struct {
	name string
	send func(ctx context.Context, p *paper, event domain.Event) error

	mu       sync.Mutex
	received []domain.EventID
}

func (p *paper) Name() string { return p.name }

func (p *paper) Send(ctx context.Context, event domain.Event) error { return p.send(ctx, p, event) }

func (p *paper) accept(ctx context.Context, id domain.EventID) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("send event %s: %w", id, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.received = append(p.received, id)
	return nil
}

func (p *paper) sent() []domain.EventID {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.received)
}

// named makes a channel with that name.
func named(name string) func() porttest.Channel {
	return func() porttest.Channel {
		p := &paper{name: name, send: func(ctx context.Context, p *paper, event domain.Event) error { return p.accept(ctx, event.ID) }}
		return porttest.Channel{Channel: p, Received: p.sent}
	}
}

// sending makes a channel with another Send.
func sending(send func(ctx context.Context, p *paper, event domain.Event) error) func() porttest.Channel {
	return func() porttest.Channel {
		p := &paper{name: "paper", send: send}
		return porttest.Channel{Channel: p, Received: p.sent}
	}
}

// renamed has another name after each notification.
type renamed struct{ *paper }

func (r renamed) Name() string { return fmt.Sprint("paper-", len(r.sent())) }

func TestChannelClauses(t *testing.T) {
	const name = "Name has 1 to 32 visible characters, and never changes"
	checkSuite(t, porttest.ChannelClauses(), named("paper"), []broken[porttest.Channel]{
		{"no name", name, "", named("")},
		{"a long name", name, "", named(strings.Repeat("paper", 10))},
		{"a name with a space", name, "", named("news paper")},
		{"a name with a line break", name, "", named("paper\n")},
		{"a name that changes", name, "", func() porttest.Channel {
			c := named("")()
			c.Channel = renamed{c.Channel.(*paper)}
			return c
		}},
		{"Send returns before the receiver has the event", "Send returns nil once the receiver has the event's id", "every clause that looks at the receiver", sending(func(ctx context.Context, p *paper, event domain.Event) error {
			time.AfterFunc(time.Millisecond, func() { p.accept(context.WithoutCancel(ctx), event.ID) })
			return ctx.Err()
		})},
		{"Send takes ASCII only", "Send takes every event that keeps the domain's rules", "", sending(func(ctx context.Context, p *paper, event domain.Event) error {
			if strings.ContainsFunc(event.Order.Product, func(r rune) bool { return r > 127 }) {
				return errors.New("send: not ASCII")
			}
			return p.accept(ctx, event.ID)
		})},
		{"Send loses an event of concurrent calls", "Send may be called from several goroutines at once", "", sending(func(ctx context.Context, p *paper, event domain.Event) error {
			before := p.sent()
			time.Sleep(time.Millisecond)
			p.mu.Lock()
			defer p.mu.Unlock()
			if ctx.Err() == nil {
				p.received = append(before, event.ID)
			}
			return ctx.Err()
		})},
		{"Send makes a new id for a repeat", "Send of an event again uses the same id", "", sending(func(ctx context.Context, p *paper, event domain.Event) error {
			id := event.ID
			if slices.Contains(p.sent(), id) {
				id += domain.EventID(fmt.Sprint("-", len(p.sent())))
			}
			return p.accept(ctx, id)
		})},
		{"Send sends and then fails on an ended context", "Send with an ended context sends nothing", "", sending(func(ctx context.Context, p *paper, event domain.Event) error {
			return errors.Join(ctx.Err(), p.accept(context.WithoutCancel(ctx), event.ID))
		})},
	})
}
