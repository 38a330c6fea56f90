package porttest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"unicode"
	"unicode/utf8"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

func outgoing(event domain.Event) ports.Outgoing {
	return ports.Outgoing{ID: string(event.ID), Event: event, Attempt: 1}
}

// send sends the events, many at once.
func send(t testing.TB, c Channel, events ...domain.Event) {
	t.Helper()
	forEach(t, events, func(ctx context.Context, event domain.Event) error {
		if _, err := c.Channel.Send(ctx, outgoing(event)); err != nil {
			return fmt.Errorf("send event %s: %w", event.ID, err)
		}
		return nil
	})
}

func checkReceived(t testing.TB, c Channel, want ...domain.EventID) {
	t.Helper()
	checkEqual(t, "received events", slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(c.Received())))
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
		send(t, c, event(1))
		if again := c.Channel.Name(); again != name {
			t.Errorf("name was %q and is now %q, want no change", name, again)
		}
	}},

	{"Send returns nil once the receiver has the event's id", func(t testing.TB, c Channel) {
		checkReceived(t, c)
		var want []domain.EventID
		for _, event := range events(1, 3) {
			send(t, c, event)
			want = append(want, event.ID)
			checkReceived(t, c, want...)
		}
	}},

	{"Send takes every event that keeps the domain's rules", func(t testing.TB, c Channel) {
		all := created(hardOrders())
		for _, event := range all {
			send(t, c, event)
		}
		checkReceived(t, c, eventIDs(all)...)
	}},

	{"Send may be called from several goroutines at once", func(t testing.TB, c Channel) {
		all := events(1, 16)
		send(t, c, all...)
		checkReceived(t, c, eventIDs(all)...)
	}},

	// A receiver recognises a repeat by its id, and may keep or drop it.
	{"Send of an event again uses the same id", func(t testing.TB, c Channel) {
		for range 3 {
			send(t, c, event(1))
		}
		if got := slices.Compact(c.Received()); !slices.Equal(got, []domain.EventID{event(1).ID}) {
			t.Errorf("an event that was sent three times was received as %q, want only %q", got, event(1).ID)
		}
	}},

	{"Send with an ended context sends nothing", func(t testing.TB, c Channel) {
		all := events(1, 2)
		checkEnded(t, "Send", func(ctx context.Context) error { return errorOf(c.Channel.Send(ctx, outgoing(all[0]))) })
		send(t, c, all[1])
		checkReceived(t, c, all[1].ID)
	}},
}
