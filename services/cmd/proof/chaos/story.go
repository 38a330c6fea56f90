package main

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"

	"example.com/orderflow/services/cmd/proof/harness"
)

// storiesRead is the number of orders whose notifications are read over HTTP.
const storiesRead = 50

// story is a notification as a notifier lists it.
type story struct {
	Channel   string
	Recipient string
	State     string
	Attempts  []struct{ Outcome string }
}

// checkStories compares what the notifier lists of some orders with what the receivers
// got. The notifier is at the address.
func (t *trial) checkStories(ctx context.Context, addr string) error {
	arrivals := t.arrivals()
	for range storiesRead {
		o, ok := t.load.anyAnswered()
		if !ok {
			return nil
		}
		var page struct{ Data []story }
		if err := harness.GetJSON(ctx, "http://"+addr+"/notifications?"+url.Values{"order_id": {o.ID}}.Encode(), &page); err != nil {
			return fmt.Errorf("read the notifications of an order: %w", err)
		}
		want := map[recipient]string{{"log", ""}: "sent"}
		for _, r := range recipients {
			want[r] = "skipped"
			if len(arrivals[r.channel][r.key(o.ID)].Times) > 0 {
				want[r] = "sent"
			}
		}
		got := make(map[recipient]string)
		page.Data = slices.DeleteFunc(page.Data, func(s story) bool { return s.Channel == harness.Picky })
		for _, s := range page.Data {
			got[recipient{s.Channel, s.Recipient}] = s.State
			if tried := len(s.Attempts) > 0 && s.Attempts[len(s.Attempts)-1].Outcome == "accepted"; s.Channel != "log" && tried != (s.State == "sent") {
				t.breaks(tellsTheStory, "order %s: %+v", o.ID, s)
			}
		}
		if !maps.Equal(got, want) || len(page.Data) != len(want) {
			t.breaks(tellsTheStory, "order %s of %s: it lists %v; the receivers got %v", o.ID, o.UserID, got, want)
		}
	}
	return nil
}

// arrivals returns what the receivers got, by channel.
func (t *trial) arrivals() map[string]map[string]harness.Arrival {
	all := make(map[string]map[string]harness.Arrival)
	for channel, r := range t.receivers {
		all[channel] = r.Arrivals()
		for key, a := range all[channel] {
			a.Times = slices.Clone(a.Times)
			all[channel][key] = a
		}
	}
	return all
}
