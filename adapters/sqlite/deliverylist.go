package sqlite

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"example.com/orderflow/adapters/internal/cursor"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// List implements [ports.DeliveryLog]. It finds an order's notifications by their keys,
// and a user's by an index of users. For all others it merges the lists of the channels
// and states. So it reads few rows that are not on the page.
func (d *Deliveries) List(ctx context.Context, query ports.NotificationQuery) (page ports.NotificationPage, err error) {
	defer describe(&err, "list deliveries")
	between, err := boundsOf(query)
	if err != nil {
		return page, err
	}
	var sql string
	var args []any
	switch {
	case query.OrderID != "":
		sql, args = listOfOrder(query, between)
	case query.UserID != "":
		sql, args = listOfUser(query, between)
	default:
		lists, err := d.lists(ctx, query.Channel, func(state domain.NotificationState) bool {
			return len(query.States) == 0 || slices.Contains(query.States, state)
		})
		if err != nil || len(lists) == 0 {
			return page, err
		}
		sql, args = merged(notificationColumns, lists, between)
		sql += latestFirst
	}
	found, err := readPage(ctx, d.store, "deliveries", query.Limit, readNotification, sql, args...)
	if err != nil {
		return page, err
	}
	page.Notifications, page.Unreadable = found.records, found.skipped.Count
	if found.more {
		page.NextCursor = cursor.EncodeNotification(cursor.OfNotification(found.last()))
	}
	return page, nil
}

const (
	deliveryPlace = "(at, event_id, channel, recipient)"
	latestFirst   = " ORDER BY at DESC, event_id DESC, channel DESC, recipient DESC"
	oldestFirst   = " ORDER BY at, event_id, channel, recipient"
)

// bounds are the places between which a list's notifications are. Those at from are in
// the list, and those at the others are not.
type bounds struct {
	from          int64
	after, before cursor.Notification
}

var everything = bounds{
	from:   math.MinInt64,
	after:  cursor.Notification{At: time.UnixMilli(math.MinInt64)},
	before: cursor.Notification{At: time.UnixMilli(math.MaxInt64)},
}

func boundsOf(query ports.NotificationQuery) (bounds, error) {
	b := everything
	if !query.From.IsZero() {
		b.from = ceilMilli(query.From)
	}
	if !query.To.IsZero() {
		b.before.At = time.UnixMilli(ceilMilli(query.To))
	}
	if query.Cursor == "" {
		return b, nil
	}
	at, err := cursor.DecodeNotification(query.Cursor)
	switch {
	case err != nil:
		return b, err
	case query.OrderID != "":
		b.after = at
	case at.Before(b.before):
		b.before = at
	}
	return b, nil
}

// ceilMilli returns the first millisecond that is not before the time.
func ceilMilli(t time.Time) int64 {
	ms := t.UnixMilli()
	if time.UnixMilli(ms).Before(t) {
		ms++
	}
	return ms
}

func placeArgs(at cursor.Notification) []any {
	return []any{at.At.UnixMilli(), string(at.Key.EventID), at.Key.Channel, at.Key.Recipient}
}

// listOfOrder selects an order's notifications by the range of their events' ids, which
// begin with the order's id and a hyphen. "." follows "-" in ASCII. No other index is
// used, because of the plus signs: the notifications are few, and are sorted.
func listOfOrder(query ports.NotificationQuery, between bounds) (sql string, args []any) {
	var where filter
	where.add("event_id >= ? AND event_id < ?", string(query.OrderID)+"-", string(query.OrderID)+".")
	if query.UserID != "" {
		where.add("+user_id = ?", query.UserID)
	}
	where.addRest(query)
	where.add("+at >= ?", between.from)
	where.add("(+at, event_id, channel, recipient) > (?, ?, ?, ?)", placeArgs(between.after)...)
	where.add("(+at, event_id, channel, recipient) < (?, ?, ?, ?)", placeArgs(between.before)...)
	return selectNotifications + where.sql() + oldestFirst, where.args
}

func listOfUser(query ports.NotificationQuery, between bounds) (sql string, args []any) {
	var inner, outer filter
	inner.add("at >= ?", between.from)
	inner.add(deliveryPlace+" < (?, ?, ?, ?)", placeArgs(between.before)...)
	outer.addRest(query)
	return userDeliveries.latest(notificationColumns, "deliveries", query.UserID, inner, outer)
}

// addRest adds the conditions that need no index.
func (f *filter) addRest(query ports.NotificationQuery) {
	if query.Channel != "" {
		f.add("+channel = ?", query.Channel)
	}
	if len(query.States) > 0 {
		var states []any
		for _, state := range domain.NotificationStates {
			if slices.Contains(query.States, state) {
				states = append(states, string(state))
			}
		}
		f.add("+state IN ("+strings.TrimSuffix(strings.Repeat("?, ", len(states)), ", ")+")", states...)
	}
}

// deliveryList are a channel's notifications in one state.
type deliveryList struct {
	channel string
	state   domain.NotificationState
}

// lists returns the lists that have notifications, of one channel or of all, in the
// states. It reads one entry of the index for each.
func (d *Deliveries) lists(ctx context.Context, channel string, in func(domain.NotificationState) bool) (lists []deliveryList, err error) {
	err = d.store.read(ctx, func(tx *tx) error {
		for list, err := tx.nextList(deliveryList{channel: channel}); ; list, err = tx.nextList(list) {
			if err != nil || list.channel == "" || channel != "" && channel != list.channel {
				return err
			}
			if in(list.state) {
				lists = append(lists, list)
			}
		}
	})
	return lists, err
}

// nextList returns the first list after that one, or none. It asks for one column at a
// time, because SQLite reads all rows of a list to find (channel, state) > (?, ?).
func (t *tx) nextList(last deliveryList) (next deliveryList, err error) {
	const first = "SELECT channel, state FROM deliveries WHERE "
	read := func(r row) bool {
		next = deliveryList{r.ColumnText(0), domain.NotificationState(r.ColumnText(1))}
		return false
	}
	err = t.query(read, first+"channel = ? AND state > ? ORDER BY state", last.channel, string(last.state))
	if err == nil && next.channel == "" {
		err = t.query(read, first+"channel > ? ORDER BY channel, state", last.channel)
	}
	return next, err
}

// maxMerged is how many lists SQLite merges in one statement.
const maxMerged = 500

// merged selects the lists' notifications between the bounds. Sorted by their places, they
// are merged while they are read, because each list is sorted in the index. Only those of
// more than a hundred channels are too many to merge: SQLite sorts all rows.
func merged(columns string, lists []deliveryList, between bounds) (sql string, args []any) {
	const selectBetween = "SELECT %s FROM deliveries WHERE at >= ?1 AND " + deliveryPlace + " < (?2, ?3, ?4, ?5) AND "
	each, join := fmt.Sprintf(selectBetween, columns)+"channel = ?%d AND state = ?%d", " UNION ALL "
	before, after := "", ""
	if len(lists) > maxMerged {
		before, after = fmt.Sprintf(selectBetween, columns)+"(channel, state) IN (VALUES ", ")"
		each, join = "(?%d, ?%d)", ", "
	}
	args = append([]any{between.from}, placeArgs(between.before)...)
	parts := make([]string, len(lists))
	for i, list := range lists {
		parts[i] = fmt.Sprintf(each, len(args)+1, len(args)+2)
		args = append(args, list.channel, string(list.state))
	}
	return before + strings.Join(parts, join) + after, args
}
