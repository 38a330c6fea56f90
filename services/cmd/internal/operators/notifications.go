package operators

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/cmd/internal/app"
	"example.com/orderflow/services/notification"
)

type notificationCommands struct {
	List listNotifications `cmd:"" help:"List notifications, newest first; those of an order oldest first."`
}

// selectNotifications are the filters of notifications.
type selectNotifications struct {
	Order   *string `placeholder:"ID" help:"Only those of the order with this id."`
	User    *string `placeholder:"ID" help:"Only those of the user with this id."`
	Channel *string `placeholder:"NAME" help:"Only those by this channel."`
	State   *string `placeholder:"STATE,…" help:"Only those in these states: sent, retrying, held, dead, skipped."`
	From    *string `placeholder:"TIME" help:"Only those that changed at this time or later, such as 2026-11-23T10:00:00Z."`
	To      *string `placeholder:"TIME" help:"Only those that changed before this time."`
	Limit   int     `placeholder:"NUMBER" help:"At most this many; all by default."`
	output
}

func (n selectNotifications) query() (ports.NotificationQuery, error) {
	var filter notification.Filter
	err := setFilter(
		filterFlag{"order", n.Order, &filter.OrderID}, filterFlag{"user", n.User, &filter.UserID}, filterFlag{"channel", n.Channel, &filter.Channel},
		filterFlag{"state", n.State, &filter.State}, filterFlag{"from", n.From, &filter.From}, filterFlag{"to", n.To, &filter.To},
	)
	if err := cmp.Or(err, checkLimit(n.Limit)); err != nil {
		return ports.NotificationQuery{}, err
	}
	query, err := filter.Query()
	return query, asUsage(err)
}

type listNotifications struct{ selectNotifications }

func (l *listNotifications) Run(ctx context.Context, notifying *app.Notifying, common *app.Common, streams app.Streams) error {
	return l.list(ctx, notifying, common, streams, func(s session, query ports.NotificationQuery) (notificationPage, error) {
		page, err := s.control.Notifications(ctx, query)
		result := notificationPage{cursor: page.NextCursor, unreadable: page.Unreadable}
		for _, n := range page.Notifications {
			result.views = append(result.views, notification.UndeliveredView{View: notification.NewView(n)})
		}
		return result, err
	})
}

type undelivered struct{ selectNotifications }

func (u *undelivered) Run(ctx context.Context, notifying *app.Notifying, common *app.Common, streams app.Streams) error {
	return u.list(ctx, notifying, common, streams, func(s session, query ports.NotificationQuery) (notificationPage, error) {
		page, err := s.control.Undelivered(ctx, query)
		result := notificationPage{cursor: page.NextCursor, unreadable: page.Unreadable}
		for _, n := range page.Notifications {
			result.views = append(result.views, notification.NewUndeliveredView(n))
		}
		return result, err
	})
}

// notificationPage is one page of a list.
type notificationPage struct {
	views      []notification.UndeliveredView
	cursor     string
	unreadable int
}

// list prints the pages that get returns, until the limit.
func (n selectNotifications) list(
	ctx context.Context, notifying *app.Notifying, common *app.Common, streams app.Streams, get func(session, ports.NotificationQuery) (notificationPage, error),
) error {
	query, err := n.query()
	if err != nil {
		return err
	}
	return withControl(ctx, notifying, common, streams, func(s session) error {
		return n.printPages(s, query, func(query ports.NotificationQuery) (notificationPage, error) { return get(s, query) })
	})
}

func (n selectNotifications) printPages(
	s session, query ports.NotificationQuery, get func(ports.NotificationQuery) (notificationPage, error),
) error {
	table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	if !n.JSON {
		fmt.Fprintln(table, "ORDER\tCHANNEL\tRECIPIENT\tUSER\tSTATE\tAT\tATTEMPTS\tNEXT TRY\tREASON")
	}
	listed, unreadable, sums := 0, 0, make(sums)
	for {
		query.Limit = ports.MaxListLimit
		if n.Limit > 0 {
			query.Limit = min(query.Limit, n.Limit-listed)
		}
		page, err := get(query)
		if err != nil {
			return asUsage(err)
		}
		for _, view := range page.views {
			n.print(s, table, view)
			sums.add(view.Channel, view.State)
		}
		listed, unreadable = listed+len(page.views), unreadable+page.unreadable
		if err := errors.Join(table.Flush(), s.flush()); err != nil {
			return err
		}
		if query.Cursor = page.cursor; query.Cursor == "" || n.Limit > 0 && listed >= n.Limit {
			break
		}
	}
	fmt.Fprintln(s.err, sums)
	if query.Cursor != "" {
		fmt.Fprintf(s.err, "there may be more than --limit=%d; without the flag, all are listed\n", n.Limit)
	}
	if unreadable > 0 {
		fmt.Fprintf(s.err, "skipped %s that can't be read; the log has the ids\n", count(unreadable, "notification"))
	}
	return nil
}

// sums count notifications by channel and state.
type sums map[string]map[domain.NotificationState]int

func (s sums) add(channel string, state domain.NotificationState) {
	if s[channel] == nil {
		s[channel] = make(map[domain.NotificationState]int)
	}
	s[channel][state]++
}

// String returns one line, such as "email: 130 held, 3 dead".
func (s sums) String() string {
	var channels []string
	for _, channel := range slices.Sorted(maps.Keys(s)) {
		var states []string
		for _, state := range domain.NotificationStates {
			if n := s[channel][state]; n > 0 {
				states = append(states, fmt.Sprintf("%d %s", n, state))
			}
		}
		channels = append(channels, oneLine(channel)+": "+strings.Join(states, ", "))
	}
	return cmp.Or(strings.Join(channels, "; "), "no notifications")
}

func (n selectNotifications) print(s session, table *tabwriter.Writer, view notification.UndeliveredView) {
	if n.JSON {
		s.printJSON(view)
		return
	}
	reason, next := view.Reason, view.NextTry
	if view.State == domain.Held {
		next = cmp.Or(next, "when resumed")
	}
	if view.Pause != nil {
		reason = fmt.Sprintf("%s since %s: %s", view.Pause.Kind, view.Pause.Since, cmp.Or(reason, "no reason was given"))
	}
	fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", view.OrderID, oneLine(view.Channel), oneLine(view.Recipient),
		oneLine(view.UserID), view.State, view.At, view.Attempt, next, oneLine(reason))
}

// asUsage returns the error of a filter as one of the command line.
func asUsage(err error) error {
	var invalid *domain.InvalidError
	if errors.As(err, &invalid) {
		return app.UsageErrorf("--%s: it %s", strings.TrimSuffix(invalid.Fields[0].Field, "_id"), invalid.Fields[0].Reason)
	}
	return err
}
