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
	send func(ctx context.Context, p *paper, event domain.Event) error // nil: accept

	mu       sync.Mutex
	received []domain.EventID
}

func (p *paper) Name() string { return p.name }

func (p *paper) Send(ctx context.Context, event domain.Event) error {
	if p.send != nil {
		return p.send(ctx, p, event)
	}
	return p.accept(ctx, event.ID)
}

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

func channel(name string, send func(ctx context.Context, p *paper, event domain.Event) error) func() porttest.Channel {
	return func() porttest.Channel {
		p := &paper{name: name, send: send}
		return porttest.Channel{Channel: p, Received: p.sent}
	}
}

// renamed changes its name with every notification.
type renamed struct{ *paper }

func (r renamed) Name() string { return fmt.Sprint("paper-", len(r.sent())) }

func TestChannelClauses(t *testing.T) {
	const name = "Name is short, and always the same"
	checkSuite(t, porttest.ChannelClauses(), channel("paper", nil), []broken[porttest.Channel]{
		{name: "no name", open: channel("", nil), fails: []string{name}},
		{name: "a long name", open: channel(strings.Repeat("paper", 10), nil), fails: []string{name}},
		{name: "a name with a space", open: channel("news paper", nil), fails: []string{name}},
		{name: "a name with a line break", open: channel("paper\n", nil), fails: []string{name}},
		{name: "a name that changes", open: func() porttest.Channel {
			p := &paper{}
			return porttest.Channel{Channel: renamed{p}, Received: p.sent}
		}, fails: []string{name}},

		{name: "Send answers before the receiver does", open: channel("paper", func(ctx context.Context, p *paper, event domain.Event) error {
			time.AfterFunc(time.Millisecond, func() { p.accept(context.WithoutCancel(ctx), event.ID) })
			return ctx.Err()
		}), fails: []string{
			"Send returns nil once the receiver has the event's id",
			"Send takes every event that keeps the domain's rules",
			"Send may be called from several goroutines at once",
			"Send of an event again goes out under the same id",
			"Send with an ended context sends nothing",
		}},

		{name: "Send takes plain text only", open: channel("paper", func(ctx context.Context, p *paper, event domain.Event) error {
			if strings.ContainsFunc(event.Order.Product, func(r rune) bool { return r > 127 }) {
				return errors.New("send: not ASCII")
			}
			return p.accept(ctx, event.ID)
		}), fails: []string{
			"Send takes every event that keeps the domain's rules",
		}},

		{name: "Send loses what is sent beside another", open: channel("paper", func(ctx context.Context, p *paper, event domain.Event) error {
			before := p.sent()
			time.Sleep(time.Millisecond)
			p.mu.Lock()
			defer p.mu.Unlock()
			if ctx.Err() == nil {
				p.received = append(before, event.ID)
			}
			return ctx.Err()
		}), fails: []string{
			"Send may be called from several goroutines at once",
		}},

		{name: "Send makes an id of its own each time", open: channel("paper", func(ctx context.Context, p *paper, event domain.Event) error {
			id := event.ID
			if slices.Contains(p.sent(), id) {
				id += domain.EventID(fmt.Sprint("-", len(p.sent())))
			}
			return p.accept(ctx, id)
		}), fails: []string{
			"Send of an event again goes out under the same id",
		}},

		{name: "Send sends and then fails on an ended context", open: channel("paper", func(ctx context.Context, p *paper, event domain.Event) error {
			return errors.Join(ctx.Err(), p.accept(context.WithoutCancel(ctx), event.ID))
		}), fails: []string{
			"Send with an ended context sends nothing",
		}},
	})
}
