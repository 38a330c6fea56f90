package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"example.com/orderflow/adapters/logchannel"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/notification"
)

// find returns the channel with the name.
func (c *Channels) find(name string) (openChannel, error) {
	var names []string
	for _, opened := range c.opened {
		if opened.name == name {
			return opened, nil
		}
		names = append(names, opened.name)
	}
	return openChannel{}, UsageErrorf("--channel: no channel is named %.40q; the channels are %s", Redact(name), strings.Join(names, ", "))
}

// Preview writes what the channel would send about the event.
func (c *Channels) Preview(ctx context.Context, channel, language string, event domain.Event, test bool, w io.Writer) error {
	opened, err := c.find(channel)
	if err != nil {
		return err
	}
	message := ports.Outgoing{ID: string(event.ID), Event: event, Attempt: 1, Test: test}
	if bodied, ok := opened.channel.(interface {
		Body(ports.Outgoing) ([]byte, error)
	}); ok {
		body, err := bodied.Body(message)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "%s\n", body)
		return err
	}
	if opened.renderer == nil {
		_, err := logchannel.New(slog.NewTextHandler(escaping{w}, nil)).Send(ctx, message)
		return err
	}
	content, err := opened.renderer.Render(event, language, test)
	if err != nil {
		return err
	}
	text, html := strings.TrimRight(Printable(content.Text), "\n"), strings.TrimRight(Printable(content.HTML), "\n")
	_, err = fmt.Fprintf(w, "Language: %s\nSubject: %s\n\n%s\n", content.Language, Printable(content.Subject), text)
	if err == nil && content.HTML != "" {
		_, err = fmt.Fprintf(w, "\nHTML:\n\n%s\n", html)
	}
	return err
}

// SendTest sends a notification, marked as a test, by the channel. Its error also says that
// the receiver has not accepted it.
func (c *Channels) SendTest(ctx context.Context, channel string, test notification.TestSend) (domain.Attempt, error) {
	opened, err := c.find(channel)
	if err != nil {
		return domain.Attempt{}, err
	}
	attempt, err := opened.info().SendTest(ctx, test)
	var invalid *domain.InvalidError
	if errors.As(err, &invalid) {
		fault := invalid.Fields[0]
		return attempt, UsageErrorf("--%s: it %s", fault.Field, fault.Reason)
	}
	return attempt, err
}
