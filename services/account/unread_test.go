package account_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/account"
)

// litter has messages that can't be read.
type litter struct{ ports.DeadLetterQueue }

func (litter) UnreadableDepth(context.Context) (ports.QueueDepth, error) {
	return ports.QueueDepth{Ready: 3}, nil
}

// The account has the queues that nobody reads and that are not empty.
func TestUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.broker.Prefetch = 1
		w.broker.SubscriptionPrefetch = map[string]int{"pager": 1}
		queue := func(channel string) ports.EventQueue { return w.broker.Subscription(channel) }
		for _, name := range []string{"fax", "pager", "telex"} { // pager's queue is empty, telex' does not exist
			if _, err := w.store.ChannelStates().Register(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"fax", "pager"} {
			if err := w.broker.Subscription(name).Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		w.place(t, 1, 2)
		left := 2
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		if err := w.broker.Subscription("pager").Consume(ctx, func(context.Context, ports.Delivery) error {
			if left--; left == 0 {
				stop()
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if a := w.office(t).Draw(t.Context()); len(a.Unread) > 0 {
			t.Errorf("without QueueOf: got %+v", a.Unread)
		}
		w.parts.QueueOf, w.parts.DeadLetterQueue = queue, litter{w.parts.DeadLetterQueue}
		a := w.office(t).Draw(t.Context())
		if len(a.Unread) != 2 || a.Unread[0].Channel != "" || a.Unread[0].Ready != 3 || a.Unread[1].Channel != "fax" || a.Unread[1].Ready != 2 || len(a.Faults) > 0 {
			t.Errorf("got %+v and faults %v, want 3 unreadable messages and 2 of fax", a.Unread, a.Faults)
		}
		if text, err := json.Marshal(account.NewView(a)); err != nil || !strings.Contains(string(text), `"unread":[{"ready":{"count":3}`) {
			t.Errorf("got %s, %v", text, err)
		}
	})
}
