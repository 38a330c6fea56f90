package smtpchannel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"example.com/orderflow/ports"
)

// Options are the settings that are not in the URL.
type Options struct {
	Name     string // the channel's; empty: "email"
	Password string // of the URL's user, if the URL has none
}

// Channel sends notifications as mails through one server.
type Channel struct {
	name     string
	settings settings
	secrets  *strings.Replacer
	timeouts timeouts
	now      func() time.Time
	slots    chan struct{} // one for each connection
	pool     pool
}

var _ ports.AddressedChannel = (*Channel)(nil)

// Open returns the channel of a URL. It does not connect: Send does. An error without
// secrets is returned when the URL can't be used.
func Open(url string, options Options) (*Channel, error) {
	s, err := parseURL(url, options.Password)
	if err != nil {
		return nil, fmt.Errorf("read URL of the mail server: %w", err)
	}
	return &Channel{
		name:     cmp.Or(options.Name, "email"),
		settings: s,
		secrets:  hideLogin(s.user, s.password),
		timeouts: defaultTimeouts,
		now:      time.Now,
		slots:    make(chan struct{}, s.connections),
	}, nil
}

// Close ends the idle sessions. Later calls of Send fail.
func (c *Channel) Close() error {
	c.pool.close(c.timeouts.quit)
	return nil
}

// Name returns the name of the options, or "email".
func (c *Channel) Name() string { return c.name }

// Connections returns how many mails the channel sends at once. Further calls of Send
// wait.
func (c *Channel) Connections() int { return c.settings.connections }

// Send sends one mail.
func (c *Channel) Send(ctx context.Context, message ports.Outgoing) (ports.Answer, error) {
	if err := ctx.Err(); err != nil {
		return ports.Answer{}, ports.Postpone(c.failed(err))
	}
	if err := c.CheckAddress(message.Address); err != nil {
		return ports.Answer{}, ports.Permanent(c.failed(fmt.Errorf("the recipient's address %w", err)))
	}
	mail, err := c.settings.compose(message, c.now())
	if err != nil {
		return ports.Answer{}, ports.Permanent(c.failed(errors.New(c.readable(err.Error(), message.Address))))
	}

	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return ports.Answer{}, ports.Postpone(c.failed(fmt.Errorf("wait for one of %d connections: %w", c.Connections(), ctx.Err())))
	}
	s, err := c.pool.take()
	if err != nil {
		return ports.Answer{}, ports.Postpone(c.failed(err))
	}
	if s != nil {
		// The server may have ended the idle session, or accept no more mails on it. MAIL
		// finds out before the server has the mail.
		answer, at, err := c.sendBy(ctx, s, message.Address, mail)
		if err == nil || at != sender || ctx.Err() != nil {
			return answer, err
		}
	}
	s, at, err := c.connect(ctx)
	if err != nil {
		return c.failure(ctx, at, err, message.Address)
	}
	answer, _, err := c.sendBy(ctx, s, message.Address, mail)
	return answer, err
}

// sendBy sends the mail on the session, and then keeps the session or ends it. It returns
// the step that has failed, if one has.
func (c *Channel) sendBy(ctx context.Context, s *session, address string, mail []byte) (ports.Answer, step, error) {
	release := s.bind(ctx)
	got, at, err := c.deliver(s, address, mail)
	var answer ports.Answer
	if err == nil {
		answer = ports.Answer{Code: got.codes(), Text: c.readable(got.text, address)}
	} else {
		answer, err = c.failure(ctx, at, err, address)
	}
	inSync := err == nil || at.isAboutMail() && answer.Code != "" && !strings.HasPrefix(answer.Code, "421")
	kept := release() && inSync && s.client.Text.R.Buffered() == 0 && c.pool.put(s, c.timeouts)
	if !kept {
		s.conn.Close()
	}
	return answer, at, err
}
