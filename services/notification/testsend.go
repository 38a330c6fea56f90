package notification

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/actions"
	"example.com/orderflow/services/notification/templates"
)

// TestSend is a notification that is marked as a test, about an order that does not exist.
type TestSend struct {
	To       string // the address; empty for a channel without addresses, or to send to an endpoint
	Receiver string // of the endpoint, or the endpoint's name; empty: the only one
	Language string // empty: the default
}

// testTimeout is how long the receiver of a test may take.
const testTimeout = 30 * time.Second

// SendTest sends the test by the channel, whether it is paused or not, and returns what came
// of it. The error is the channel's. [*domain.InvalidError] is returned when nothing was sent,
// because the channel can't send to this address.
func (c ChannelInfo) SendTest(ctx context.Context, test TestSend) (domain.Attempt, error) {
	address, err := c.testAddress(test)
	if err != nil {
		return domain.Attempt{}, err
	}
	message := ports.Outgoing{ID: "test-" + uuid.NewString(), Event: templates.Sample(), Attempt: 1, Address: address, Test: true}
	if c.Renderer != nil {
		if message.Content, err = c.Renderer.Render(message.Event, test.Language, true); err != nil {
			return domain.Attempt{}, fmt.Errorf("render the test: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, testTimeout)
	defer cancel()
	began := time.Now()
	answer, err := c.Sender.Send(ctx, message)
	return domain.Attempt{
		At: domain.TruncateTime(began), Duration: time.Since(began).Truncate(time.Millisecond), Outcome: ports.OutcomeOf(err),
		Code: cut(answer.Code, maxCode), Answer: cut(cmp.Or(answer.Text, text(err)), domain.MaxAnswer),
	}, err
}

// SendTest sends the test by the configured channel, and returns what came of it: also if the
// receiver has not accepted it. The errors are [ErrUnknownChannel], and those of
// [ChannelInfo.SendTest] that mean that nothing was sent.
func (c *Control) SendTest(ctx context.Context, channel string, test TestSend, by string) (domain.Attempt, error) {
	info := c.channel(channel)
	if info == nil {
		return domain.Attempt{}, fmt.Errorf("%w is configured here as %q", ErrUnknownChannel, channel)
	}
	var attempt domain.Attempt
	err := c.journal.Do(ctx, actions.Entry{Action: actions.Test, By: by, Target: channel}, func(ctx context.Context) (count int, err error) {
		if attempt, err = info.SendTest(ctx, test); err == nil {
			count = 1
		}
		return count, err
	})
	if attempt.At.IsZero() {
		return attempt, err
	}
	c.log.InfoContext(ctx, "test sent", "channel", channel, "outcome", string(attempt.Outcome), "code", attempt.Code, "by", by)
	return attempt, nil
}

// testAddress returns where the test goes.
func (c ChannelInfo) testAddress(test TestSend) (string, error) {
	invalid := func(field, reason string) error {
		return &domain.InvalidError{Fields: []domain.FieldError{{Field: field, Reason: reason}}}
	}
	switch {
	case c.Sender == nil:
		return "", invalid("channel", "has no receiver here; the command preview prints its text")
	case c.Addressed == nil && (test.To != "" || test.Receiver != ""):
		return "", invalid("to", "must be left out: the channel has no addresses")
	case c.Addressed == nil:
		return "", nil
	case test.To != "" && test.Receiver != "":
		return "", invalid("to", "or receiver must be left out: give one of them")
	case test.To != "":
		if err := c.Addressed.CheckAddress(test.To); err != nil {
			return "", invalid("to", err.Error())
		}
		return test.To, nil
	}
	var names []string
	for _, e := range c.Endpoints {
		if test.Receiver == e.Name || test.Receiver == c.Addressed.Receiver(e.Address) || test.Receiver == "" && len(c.Endpoints) == 1 {
			return e.Address, nil
		}
		names = append(names, e.Name)
	}
	if len(names) == 0 {
		return "", invalid("to", "must be the address to send to")
	}
	return "", invalid("receiver", "must be one of "+strings.Join(names, ", ")+", or to must be the address to send to")
}
