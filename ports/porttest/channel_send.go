package porttest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// recipients returns the names of recipients as the channel has them.
func recipients(c Channel) []string {
	if _, ok := c.Channel.(ports.AddressedChannel); ok {
		return []string{domain.UserRecipient, "warehouse"}
	}
	return []string{""}
}

// outgoing returns the notification of the event to the channel's first recipient.
func outgoing(c Channel, event domain.Event) ports.Outgoing {
	return outgoingTo(c, event, recipients(c)[0])
}

func outgoingTo(c Channel, event domain.Event, recipient string) ports.Outgoing {
	key := domain.NotificationKey{EventID: event.ID, Channel: c.Channel.Name(), Recipient: recipient}
	text := fmt.Sprintf("%s ordered %d × %s.", event.Order.UserID, event.Order.Quantity, event.Order.Product)
	return ports.Outgoing{
		ID:      key.String(),
		Event:   event,
		Attempt: 1,
		Address: c.Address,
		Content: ports.Content{Language: "en", Subject: "Your order of " + event.Order.Product, Text: text, HTML: "<p>" + text + "</p>"},
	}
}

// outgoings returns the notifications of the events.
func outgoings(c Channel, events []domain.Event) []ports.Outgoing {
	list := make([]ports.Outgoing, len(events))
	for i, event := range events {
		list[i] = outgoing(c, event)
	}
	return list
}

// send sends the notifications, many at once.
func send(t testing.TB, c Channel, messages ...ports.Outgoing) {
	t.Helper()
	forEach(t, messages, func(ctx context.Context, message ports.Outgoing) error {
		if _, err := c.Channel.Send(ctx, message); err != nil {
			return fmt.Errorf("send notification %s: %w", message.ID, err)
		}
		return nil
	})
}

func checkReceived(t testing.TB, c Channel, want ...ports.Outgoing) {
	t.Helper()
	var ids []string
	for _, message := range want {
		ids = append(ids, message.ID)
	}
	slices.Sort(ids)
	checkEqual(t, "received notifications", ids, slices.Sorted(slices.Values(c.Received())))
}

var channelSend = []Clause[Channel]{
	{"Name has 1 to 32 visible characters, and never changes", func(t testing.TB, c Channel) {
		name := c.Channel.Name()
		if n := utf8.RuneCountInString(name); n < 1 || n > 32 {
			t.Errorf("name %q has %d characters, want 1 to 32", name, n)
		}
		for _, r := range name {
			if !unicode.IsPrint(r) || unicode.IsSpace(r) {
				t.Errorf("name %q has the character %q, want visible characters", name, r)
			}
		}
		send(t, c, outgoing(c, event(1)))
		if again := c.Channel.Name(); again != name {
			t.Errorf("name was %q and is now %q, want no change", name, again)
		}
	}},

	{"Send returns nil once the receiver has accepted the notification", func(t testing.TB, c Channel) {
		checkReceived(t, c)
		all := outgoings(c, events(1, 3))
		for i, message := range all {
			send(t, c, message)
			checkReceived(t, c, all[:i+1]...)
		}
	}},

	{"Send takes every event that keeps the domain's rules", func(t testing.TB, c Channel) {
		all := outgoings(c, created(hardOrders()))
		for _, message := range all {
			send(t, c, message)
		}
		checkReceived(t, c, all...)
	}},

	{"Send takes a notification without HTML, one without content, and a test", func(t testing.TB, c Channel) {
		all := outgoings(c, events(1, 3))
		all[0].Content.HTML = ""
		all[1].Content = ports.Content{}
		all[2].Test = true
		for _, message := range all {
			send(t, c, message)
		}
		checkReceived(t, c, all...)
	}},

	{"Send may be called from several goroutines at once", func(t testing.TB, c Channel) {
		all := outgoings(c, events(1, 16))
		send(t, c, all...)
		checkReceived(t, c, all...)
	}},

	// A receiver recognises a repeat by its id, and may keep or drop it.
	{"Send of a notification again uses the same id", func(t testing.TB, c Channel) {
		message := outgoing(c, event(1))
		for range 3 {
			send(t, c, message)
			message.Attempt++
		}
		if got := slices.Compact(c.Received()); !slices.Equal(got, []string{message.ID}) {
			t.Errorf("a notification that was sent three times was received as %q, want only %q", got, message.ID)
		}
	}},

	{"Send uses another id for each recipient of an event", func(t testing.TB, c Channel) {
		var all []ports.Outgoing
		for _, recipient := range recipients(c) {
			all = append(all, outgoingTo(c, event(1), recipient))
			send(t, c, all[len(all)-1])
		}
		checkReceived(t, c, all...)
	}},

	{"Send with an ended context sends nothing", func(t testing.TB, c Channel) {
		all := outgoings(c, events(1, 2))
		checkEnded(t, "Send", func(ctx context.Context) error {
			_, err := c.Channel.Send(ctx, all[0])
			checkOutcome(t, all[0], "with an ended context", err, domain.Unreachable)
			return err
		})
		send(t, c, all[1])
		checkReceived(t, c, all[1])
	}},
}

// checkSecrets fails t if a text contains a secret of the channel.
func checkSecrets(t testing.TB, c Channel, what string, texts ...string) {
	t.Helper()
	for _, secret := range c.Secrets {
		for _, text := range texts {
			if strings.Contains(text, secret) {
				t.Errorf("%s contains the secret %q: %.2000q", what, secret, text)
			}
		}
	}
}
