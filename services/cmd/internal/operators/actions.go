package operators

import (
	"cmp"
	"context"
	"fmt"
	"text/tabwriter"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/actions"
	"example.com/orderflow/services/cmd/internal/app"
)

// listActions is the command that lists what operators did.
type listActions struct {
	Action *string `placeholder:"NAME" help:"Only those of this kind, such as replay, discard, pause or forget."`
	By     *string `placeholder:"NAME" help:"Only those of this operator."`
	Since  *string `placeholder:"TIME" help:"Only those that began at this time or later, such as 2026-11-23T10:00:00Z."`
	Until  *string `placeholder:"TIME" help:"Only those that began before this time."`
	Limit  int     `placeholder:"NUMBER" help:"At most this many; all by default."`
	output
}

func (l *listActions) query() (ports.OperatorActionQuery, error) {
	var filter actions.Filter
	err := setFilter(filterFlag{"action", l.Action, &filter.Action}, filterFlag{"by", l.By, &filter.By},
		filterFlag{"since", l.Since, &filter.Since}, filterFlag{"until", l.Until, &filter.Until})
	if err := cmp.Or(err, checkLimit(l.Limit)); err != nil {
		return ports.OperatorActionQuery{}, err
	}
	query, err := filter.Query()
	return query, asUsage(err)
}

func (l *listActions) Run(ctx context.Context, common *app.Common, streams app.Streams) error {
	query, err := l.query()
	if err != nil {
		return err
	}
	if err := common.CheckStoreIsShared(); err != nil {
		return err
	}
	store, err := quick(common).OpenStore(ctx, commandLog(streams))
	if err != nil {
		return err
	}
	defer store.Close()
	s := newSession(streams)
	table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	if !l.JSON {
		fmt.Fprintln(table, "AT\tBY\tACTION\tTARGET\tCOUNT\tOUTCOME\tREASON\tERROR")
	}
	listed, unreadable := 0, 0
	for {
		query.Limit = ports.MaxListLimit
		if l.Limit > 0 {
			query.Limit = min(query.Limit, l.Limit-listed)
		}
		page, err := store.Actions.List(ctx, query)
		if err != nil {
			return err
		}
		for _, action := range page.Actions {
			l.print(s, table, actions.NewView(action))
		}
		listed, unreadable = listed+len(page.Actions), unreadable+page.Unreadable
		if err := table.Flush(); err != nil {
			return err
		}
		if err := s.flush(); err != nil {
			return err
		}
		if query.Cursor = page.NextCursor; query.Cursor == "" || l.Limit > 0 && listed >= l.Limit {
			break
		}
	}
	if query.Cursor != "" {
		fmt.Fprintf(s.err, "there may be more than --limit=%d; without the flag, all are listed\n", l.Limit)
	}
	if unreadable > 0 {
		fmt.Fprintf(s.err, "skipped %s that can't be read; the log has the ids\n", count(unreadable, "action"))
	}
	return nil
}

func (l *listActions) print(s session, table *tabwriter.Writer, view actions.View) {
	if l.JSON {
		s.printJSON(view)
		return
	}
	fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", view.At, oneLine(view.By), oneLine(view.Action), oneLine(view.Target), view.Count,
		view.Outcome, oneLine(view.Reason), oneLine(view.Error))
}
