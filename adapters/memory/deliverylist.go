package memory

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"example.com/orderflow/adapters/internal/cursor"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// listKey names a list of notifications, so that no call reads all of them.
type listKey struct {
	kind listKind
	name string // of the order, the user or the channel
	more string // the state or the receiver, if the kind has one
}

type listKind int

const (
	byOrder     listKind = iota
	byUser               // forgotten users' are in none
	byState              // a channel's notifications in one state
	byPause              // those that a pause holds
	byNextTry            // a channel's that wait, by their next try
	byRecipient          // a recipient's in one state, unless they are sent or skipped, by Since
)

func ofOrder(id domain.OrderID) listKey { return listKey{byOrder, string(id), ""} }
func ofUser(id string) listKey          { return listKey{byUser, id, ""} }
func due(channel string) listKey        { return listKey{byNextTry, channel, ""} }

func inState(channel string, state domain.NotificationState) listKey {
	return listKey{byState, channel, string(state)}
}

func heldBy(pause domain.PauseKey) listKey { return listKey{byPause, pause.Channel, pause.Receiver} }

// deliveryIndex has the lists of the recorded notifications.
type deliveryIndex struct {
	lists    map[listKey]*timeline[cursor.Notification]
	channels []string // of all notifications that there have been
}

// places returns the lists that have the notification, and its place in each.
func places(n domain.Notification) iter.Seq2[listKey, cursor.Notification] {
	return func(yield func(listKey, cursor.Notification) bool) {
		at := cursor.OfNotification(n)
		ok := yield(ofOrder(n.OrderID), at) && yield(inState(n.Channel, n.State), at)
		if ok && n.UserID != "" {
			ok = yield(ofUser(n.UserID), at)
		}
		if ok && n.State == domain.Held {
			ok = yield(heldBy(n.HeldBy), at)
		}
		if ok && n.State.Waits() {
			ok = yield(due(n.Channel), cursor.Notification{At: n.NextTry, Key: n.Key()})
		}
		if ok && n.State != domain.Sent && n.State != domain.Skipped {
			yield(openOf(n.Channel, n.Recipient, n.State), cursor.Notification{At: n.Since(), Key: n.Key()})
		}
	}
}

func (x *deliveryIndex) add(n domain.Notification) {
	if x.lists == nil {
		x.lists = make(map[listKey]*timeline[cursor.Notification])
	}
	if !slices.Contains(x.channels, n.Channel) {
		x.channels = append(x.channels, n.Channel)
	}
	for key, at := range places(n) {
		if x.lists[key] == nil {
			x.lists[key] = new(timeline[cursor.Notification])
		}
		x.lists[key].add(at)
	}
}

func (x *deliveryIndex) remove(n domain.Notification) {
	for key, at := range places(n) {
		x.lists[key].remove(at)
		if x.lists[key].empty() {
			delete(x.lists, key)
		}
	}
}

// settledBefore returns the places of up to limit notifications that do not wait, and
// whose time is before this one, the oldest first.
func (x *deliveryIndex) settledBefore(before time.Time, limit int) []cursor.Notification {
	var found []cursor.Notification
	for _, channel := range x.channels {
		for _, state := range domain.NotificationStates {
			if state.Waits() {
				continue
			}
			for p := range firstOf(x.lists[inState(channel, state)].all(), limit) {
				if !p.At.Before(before) {
					break
				}
				found = append(found, p)
			}
		}
	}
	slices.SortFunc(found, oldestFirst)
	return found[:min(limit, len(found))]
}

func firstOf[T any](all iter.Seq[T], limit int) iter.Seq[T] {
	return func(yield func(T) bool) {
		n := 0
		for item := range all {
			if n++; n > limit || !yield(item) {
				return
			}
		}
	}
}

func oldestFirst(a, b cursor.Notification) int {
	switch {
	case a.Before(b):
		return -1
	case b.Before(a):
		return 1
	}
	return 0
}

// List returns one page of notifications.
func (d *Deliveries) List(ctx context.Context, query ports.NotificationQuery) (ports.NotificationPage, error) {
	if err := ctx.Err(); err != nil {
		return ports.NotificationPage{}, fmt.Errorf("list deliveries: %w", err)
	}
	var after *cursor.Notification
	if query.Cursor != "" {
		place, err := cursor.DecodeNotification(query.Cursor)
		if err != nil {
			return ports.NotificationPage{}, fmt.Errorf("list deliveries: %w", err)
		}
		after = &place
	}
	limit := min(max(query.Limit, 1), ports.MaxListLimit)

	d.mu.Lock()
	defer d.mu.Unlock()
	var found []domain.Notification
	for _, key := range d.index.listsOf(query) {
		inList := 0
		for p := range walk(d.index.lists[key], query, after) {
			if n := d.byKey[p.Key].record; selects(query, n) {
				found = append(found, n)
				if inList++; inList > limit { // the one beyond the page shows that another page follows
					break
				}
			}
		}
	}
	slices.SortFunc(found, func(a, b domain.Notification) int {
		order := oldestFirst(cursor.OfNotification(a), cursor.OfNotification(b))
		if query.OrderID == "" {
			return -order
		}
		return order
	})
	var page ports.NotificationPage
	if len(found) > limit {
		found = found[:limit]
		page.NextCursor = cursor.EncodeNotification(cursor.OfNotification(found[limit-1]))
	}
	for _, n := range found {
		page.Notifications = append(page.Notifications, clone(n))
	}
	return page, nil
}

// listsOf returns the shortest lists that have all notifications of the query. No
// notification is in two of them.
func (x *deliveryIndex) listsOf(query ports.NotificationQuery) []listKey {
	switch {
	case query.OrderID != "":
		return []listKey{ofOrder(query.OrderID)}
	case query.UserID != "":
		return []listKey{ofUser(query.UserID)}
	}
	var keys []listKey
	for _, channel := range x.channels {
		for _, state := range domain.NotificationStates {
			if (query.Channel == "" || query.Channel == channel) && (len(query.States) == 0 || slices.Contains(query.States, state)) {
				keys = append(keys, inState(channel, state))
			}
		}
	}
	return keys
}

// walk returns the list's places in the query's order, from the page's beginning to
// the end of the query's time.
func walk(list *timeline[cursor.Notification], query ports.NotificationQuery, after *cursor.Notification) iter.Seq[cursor.Notification] {
	forward := query.OrderID != ""
	places := list.backward()
	switch {
	case forward && after != nil:
		places = list.after(*after)
	case forward:
		places = list.all()
	case after != nil:
		places = list.before(*after)
	case !query.To.IsZero():
		places = list.before(cursor.Notification{At: query.To})
	}
	return func(yield func(cursor.Notification) bool) {
		for p := range places {
			if !forward && p.At.Before(query.From) || !yield(p) {
				return
			}
		}
	}
}

func selects(query ports.NotificationQuery, n domain.Notification) bool {
	return (query.OrderID == "" || n.OrderID == query.OrderID) &&
		(query.UserID == "" || n.UserID == query.UserID) &&
		(query.Channel == "" || n.Channel == query.Channel) &&
		(len(query.States) == 0 || slices.Contains(query.States, n.State)) &&
		!n.At.Before(query.From) &&
		(query.To.IsZero() || n.At.Before(query.To))
}
