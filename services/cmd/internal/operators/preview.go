package operators

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/cmd/internal/app"
	"example.com/orderflow/services/notification"
	"example.com/orderflow/services/notification/templates"
)

// preview is the command that prints what would be sent.
type preview struct {
	Channel string `default:"email" help:"The channel."`
	Locale  string `name:"language" placeholder:"TAG" help:"Language tag, such as de; default: that of the order's user, or --default-language."`
	Order   string `placeholder:"ID" help:"The order to notify of; default: a sample."`
	Test    bool   `help:"Mark it as a test, as test-send does."`
}

func (p *preview) Run(ctx context.Context, notifying *app.Notifying, common *app.Common, streams app.Streams) error {
	log := commandLog(streams)
	channels, err := notifying.OpenChannels(nil, log)
	if err != nil {
		return err
	}
	defer channels.Close()
	show := func(event domain.Event, language string) error {
		out := bufio.NewWriter(streams.Out)
		if err := channels.Preview(ctx, p.Channel, language, event, p.Test, out); err != nil {
			return err
		}
		return out.Flush()
	}
	if p.Order == "" {
		return show(templates.Sample(), p.Locale)
	}
	id, err := parseOrder(p.Order)
	if err != nil {
		return err
	}
	return withControl(ctx, notifying, common, streams, func(s session) error {
		order, err := s.store.Orders.Get(ctx, id)
		if err != nil {
			return err
		}
		contact, err := s.store.Contacts.Get(ctx, order.UserID)
		if err != nil && !errors.Is(err, ports.ErrNotFound) {
			return err
		}
		return show(order.Created(), cmp.Or(p.Locale, contact.Language))
	})
}

// testSend is the command that sends a notification marked as a test.
type testSend struct {
	Channel  string `default:"email" help:"The channel."`
	To       string `placeholder:"ADDRESS" help:"Where to send it."`
	Receiver string `placeholder:"NAME" help:"Instead of --to: an endpoint of the channel; default: the only one."`
	Locale   string `name:"language" placeholder:"TAG" help:"Language tag, such as de; default: --default-language."`
}

func (c *testSend) Run(ctx context.Context, notifying *app.Notifying, common *app.Common, streams app.Streams) error {
	channels, err := notifying.OpenChannels(nil, commandLog(streams))
	if err != nil {
		return err
	}
	defer channels.Close()
	attempt, err := channels.SendTest(ctx, c.Channel, notification.TestSend{To: c.To, Receiver: c.Receiver, Language: c.Locale})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(streams.Out, "sent; the receiver answered %s %s\n", oneLine(cmp.Or(attempt.Code, "no code")), oneLine(attempt.Answer))
	return err
}
