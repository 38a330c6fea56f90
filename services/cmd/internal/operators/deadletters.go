package operators

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"text/tabwriter"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/cmd/internal/app"
	"example.com/orderflow/services/deadletters"
)

// deadLetters are the operators' commands. They open the store and the broker
// themselves, whether the service runs or not.
type deadLetters struct {
	List    listLetters    `cmd:"" help:"List dead letters, oldest first."`
	Groups  groupLetters   `cmd:"" help:"Count dead letters by channel and by what their reasons have in common, the largest groups first."`
	Show    showLetters    `cmd:"" help:"Show dead letters with their messages."`
	Replay  replayLetters  `cmd:"" help:"Put the messages of dead letters back into the queue."`
	Discard discardLetters `cmd:"" help:"Discard dead letters. They can be restored for 30 days."`
	Restore restoreLetters `cmd:"" help:"Make discarded dead letters wait again."`
}

type filters struct {
	Order   *string `placeholder:"ID" help:"Only those of the order with this id."`
	User    *string `placeholder:"ID" help:"Only those of the user with this id."`
	Channel *string `placeholder:"NAME" help:"Only those of this channel's queue."`
	Type    *string `placeholder:"TYPE" help:"Only those of events of this type, such as order.created."`
	Reason  *string `placeholder:"TEXT" help:"Only those whose latest reason contains this text."`
	Group   *string `placeholder:"TEXT" help:"Only those whose latest reason is of this group, as the command groups shows it."`
	Since   *string `placeholder:"TIME" help:"Only those that failed first at this time or later, such as 2026-11-23T10:00:00Z."`
	Until   *string `placeholder:"TIME" help:"Only those that failed first before this time."`
}

func (f filters) parse() (filter deadletters.Filter, err error) {
	err = setFilter(
		filterFlag{"order", f.Order, &filter.OrderID}, filterFlag{"user", f.User, &filter.UserID}, filterFlag{"channel", f.Channel, &filter.Channel},
		filterFlag{"type", f.Type, &filter.Type}, filterFlag{"reason", f.Reason, &filter.Reason}, filterFlag{"group", f.Group, &filter.Group},
		filterFlag{"since", f.Since, &filter.Since}, filterFlag{"until", f.Until, &filter.Until},
	)
	if err != nil {
		return filter, err
	}
	if f.Order != nil {
		if _, err := parseOrder(*f.Order); err != nil {
			return filter, err
		}
	}
	_, err = filter.Query()
	return filter, asUsage(err)
}

// parseOrder parses the flag --order.
func parseOrder(text string) (domain.OrderID, error) {
	id, err := domain.ParseOrderID(text)
	if err != nil {
		return "", app.UsageErrorf("--order: %q is not an order's id; give a UUID with hyphens", oneLine(text))
	}
	return id, nil
}

// withSession opens the store and the broker for the command's work.
func withSession(ctx context.Context, c *app.Common, s app.Streams, work func(session) error) error {
	log := commandLog(s)
	if err := cmp.Or(c.CheckStoreIsShared(), c.CheckBrokerExists()); err != nil {
		return err
	}
	broker, store, err := quick(c).Open(ctx, app.BrokerOptions{}, log)
	if err != nil {
		return err
	}
	defer broker.Close()
	defer store.Close()
	service, err := deadletters.NewService(store.DeadLetters, broker.DeadLetters, store.Actions, log)
	if err != nil {
		return err
	}
	session := newSession(s)
	session.service = service
	err = work(session)
	return cmp.Or(err, session.flush())
}

type listLetters struct {
	State string `default:"waiting" help:"Only those in this state: waiting, replayed, discarded or all."`
	Limit int    `default:"0" help:"At most this many; 0: all."`
	filters
	output
}

func (l *listLetters) Run(ctx context.Context, c *app.Common, streams app.Streams) error {
	query, err := l.filters.query(l.State)
	if err != nil {
		return err
	}
	if l.Limit < 0 {
		return app.UsageErrorf("--limit: %d is out of range; give 1 or more, or 0 for all", l.Limit)
	}
	return withSession(ctx, c, streams, func(s session) error {
		table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
		if !l.JSON {
			fmt.Fprintln(table, "ID\tSTATE\tLAST FAILURE\tATTEMPTS\tASIDE\tREASON")
		}
		listed := 0
		err := s.forEach(ctx, query, func(record ports.DeadLetterRecord) bool {
			summary := deadletters.NewSummary(record)
			if l.JSON {
				s.printJSON(summary)
			} else {
				fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%s\n", oneLine(summary.ID), summary.State, summary.LastFailure,
					summary.Attempts, summary.TimesAside, oneLine(summary.Reason))
			}
			listed++
			return listed != l.Limit
		})
		return errors.Join(err, table.Flush())
	})
}

// query returns the query of the filters and of the flag --state.
func (f filters) query(state string) (query ports.DeadLetterQuery, err error) {
	parsed, err := deadletters.ParseState(state)
	if err != nil {
		return query, app.UsageErrorf("--state: %q %w", oneLine(state), err)
	}
	filter, err := f.parse()
	if err != nil {
		return query, err
	}
	query, err = filter.Query()
	query.State = parsed
	return query, err
}

type groupLetters struct {
	State string `default:"waiting" help:"Only those in this state: waiting, replayed, discarded or all."`
	filters
	output
}

func (g *groupLetters) Run(ctx context.Context, c *app.Common, streams app.Streams) error {
	query, err := g.filters.query(g.State)
	if err != nil {
		return err
	}
	return withSession(ctx, c, streams, func(s session) error {
		groups, err := s.service.Groups(ctx, query)
		if err != nil {
			return err
		}
		view := deadletters.NewGroupsView(groups)
		table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
		if !g.JSON {
			fmt.Fprintln(table, "COUNT\tCHANNEL\tOLDEST\tNEWEST\tREASON")
		}
		for _, group := range view.Groups {
			if g.JSON {
				s.printJSON(group)
			} else {
				fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\n", group.Count, oneLine(group.Channel), group.Oldest, group.Newest, oneLine(group.Reason))
			}
		}
		if err := table.Flush(); err != nil {
			return err
		}
		if view.More {
			fmt.Fprintf(s.err, "there are more groups than these %d\n", len(view.Groups))
		}
		fmt.Fprintln(s.err, count(view.Total, "dead letter"))
		return nil
	})
}

// forEach calls do with each dead letter of the query, until do returns false. It
// prints how many unreadable ones it has skipped.
func (s session) forEach(ctx context.Context, query ports.DeadLetterQuery, do func(ports.DeadLetterRecord) bool) error {
	unreadable := 0
	defer func() {
		if unreadable > 0 {
			fmt.Fprintf(s.err, "skipped %s that can't be read; the log has the ids\n", count(unreadable, "dead letter"))
		}
	}()
	query.Limit = ports.MaxListLimit
	for {
		page, err := s.service.List(ctx, query)
		if err != nil {
			return err
		}
		unreadable += page.Unreadable
		for _, record := range page.Records {
			if !do(record) {
				return nil
			}
		}
		if err := s.flush(); err != nil || page.NextCursor == "" {
			return err
		}
		query.Cursor = page.NextCursor
	}
}

// ids returns the ids of the query's dead letters.
func (s session) ids(ctx context.Context, query ports.DeadLetterQuery) (ids []string, err error) {
	err = s.forEach(ctx, query, func(record ports.DeadLetterRecord) bool {
		ids = append(ids, record.ID)
		return true
	})
	return ids, err
}

type showLetters struct {
	IDs []string `arg:"" name:"id" help:"Ids of dead letters or of orders."`
	output
}

func (l *showLetters) Run(ctx context.Context, c *app.Common, streams app.Streams) error {
	return withSession(ctx, c, streams, func(s session) error {
		var errs []error
		for _, id := range l.IDs {
			ids, err := s.resolve(ctx, id)
			if err != nil {
				errs = append(errs, err)
			}
			for _, id := range ids {
				record, err := s.service.Get(ctx, id)
				switch {
				case err != nil:
					errs = append(errs, err)
				case l.JSON:
					s.printJSON(deadletters.NewView(record))
				default:
					s.print(record)
				}
			}
		}
		return joinErrors(errs)
	})
}

// resolve returns the ids of an order's dead letters for the order's id. It returns
// any other id unchanged.
func (s session) resolve(ctx context.Context, id string) ([]string, error) {
	order, err := domain.ParseOrderID(id)
	if err != nil {
		return []string{id}, nil
	}
	ids, err := s.ids(ctx, ports.DeadLetterQuery{OrderID: order})
	if err == nil && len(ids) == 0 {
		err = fmt.Errorf("get dead letters of order %s: %w", order, ports.ErrNotFound)
	}
	return ids, err
}

// joinErrors joins the first 16 errors, and counts the others.
func joinErrors(errs []error) error {
	const limit = 16
	if more := len(errs) - limit; more > 0 {
		errs = append(errs[:limit:limit], fmt.Errorf("and %d more", more))
	}
	return errors.Join(errs...)
}
