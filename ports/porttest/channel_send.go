package porttest

import (
	"context"
	"slices"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/domain"
)

// ChannelClauses returns the contract of [ports.Channel].
func ChannelClauses() []Clause[Channel] {
	return []Clause[Channel]{
		{"Name is short, and always the same", channelName},
		{"Send returns nil once the receiver has the event's id", sendArrives},
		{"Send takes every event that keeps the domain's rules", sendHardOrders},
		{"Send may be called from several goroutines at once", sendAtOnce},
		{"Send of an event again goes out under the same id", sendAgain},
		{"Send with an ended context sends nothing", sendEnded},
	}
}

func send(t testing.TB, c Channel, event domain.Event) {
	t.Helper()
	if err := c.Channel.Send(bounded(t), event); err != nil {
		t.Fatalf("send event %s: %v", event.ID, err)
	}
}

func checkReceived(t testing.TB, c Channel, want ...domain.EventID) {
	t.Helper()
	got := slices.Sorted(slices.Values(c.Received()))
	if diff := cmp.Diff(slices.Sorted(slices.Values(want)), got); diff != "" {
		t.Errorf("received (-want +got):\n%s", diff)
	}
}

func channelName(t testing.TB, c Channel) {
	name := c.Channel.Name()
	if n := utf8.RuneCountInString(name); n < 1 || n > 32 {
		t.Errorf("name %q has %d characters, want 1 to 32", name, n)
	}
	for _, r := range name {
		if !unicode.IsPrint(r) || unicode.IsSpace(r) {
			t.Errorf("name %q holds %q, want visible characters", name, r)
		}
	}
	send(t, c, order(t, 1).Created())
	if again := c.Channel.Name(); again != name {
		t.Errorf("name was %q and is now %q", name, again)
	}
}

func sendArrives(t testing.TB, c Channel) {
	checkReceived(t, c)
	var want []domain.EventID
	for _, event := range events(t, 1, 3) {
		send(t, c, event)
		want = append(want, event.ID)
		checkReceived(t, c, want...)
	}
}

func sendHardOrders(t testing.TB, c Channel) {
	all := created(hardOrders(t))
	for _, event := range all {
		send(t, c, event)
	}
	checkReceived(t, c, eventIDs(all)...)
}

func sendAtOnce(t testing.TB, c Channel) {
	all := events(t, 1, 16)
	ctx := bounded(t)
	together(len(all), func(i int) {
		if err := c.Channel.Send(ctx, all[i]); err != nil {
			t.Errorf("send beside others: %v", err)
		}
	})
	checkReceived(t, c, eventIDs(all)...)
}

// A receiver may keep a repeat or drop it: it knows it by the id.
func sendAgain(t testing.TB, c Channel) {
	event := order(t, 1).Created()
	for range 3 {
		send(t, c, event)
	}
	if got := slices.Compact(c.Received()); !slices.Equal(got, []domain.EventID{event.ID}) {
		t.Errorf("three times the same event was received as %q, want %q", got, event.ID)
	}
}

func sendEnded(t testing.TB, c Channel) {
	all := events(t, 1, 2)
	checkEnded(t, "Send", func(ctx context.Context) error { return c.Channel.Send(ctx, all[0]) })
	send(t, c, all[1])
	checkReceived(t, c, all[1].ID)
}
