package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"text/tabwriter"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/cmd/internal/app"
	"example.com/orderflow/services/deadletters"
)

// deadLetters are the commands by which operators look after dead letters.
// They work on store and broker themselves: the service need not run.
type deadLetters struct {
	List    listLetters    `cmd:"" help:"List dead letters, oldest first."`
	Show    showLetters    `cmd:"" help:"Show dead letters with their messages."`
	Replay  replayLetters  `cmd:"" help:"Put the messages of dead letters back into the queue."`
	Discard discardLetters `cmd:"" help:"Discard dead letters; it can be undone for 30 days."`
	Restore restoreLetters `cmd:"" help:"Have discarded dead letters wait again."`
}

// asJSON is the setting of a command's output.
type asJSON struct {
	JSON bool `name:"json" help:"Write JSON, one object a line."`
}

// filters are the settings that leave letters out.
type filters struct {
	Order  *string `placeholder:"ID" help:"Only those of the order with this id."`
	Reason *string `placeholder:"TEXT" help:"Only those whose reason contains the text."`
}

// read returns the filters' values. One that is given empty, by a script whose
// variable is empty, is refused: it must not select every letter.
func (f filters) read() (order domain.OrderID, reason string, err error) {
	if f.Order != nil {
		if order, err = domain.ParseOrderID(*f.Order); err != nil {
			return "", "", app.UsageErrorf("--order: %q is not an order's id; give a UUID with hyphens", oneLine(*f.Order))
		}
	}
	if f.Reason != nil {
		if reason = *f.Reason; reason == "" {
			return "", "", app.UsageErrorf("--reason: it is empty; give a text, or leave the flag out")
		}
	}
	return order, reason, nil
}

type listLetters struct {
	State string `default:"waiting" help:"Of which state: waiting, replayed, discarded or all."`
	Limit int    `default:"0" help:"At most so many; 0: all."`
	filters
	asJSON
}

type showLetters struct {
	IDs []string `arg:"" name:"id" help:"Ids of dead letters, or of orders."`
	asJSON
}

// desk is where the commands work.
type desk struct {
	In      io.Reader
	Out     *checkedWriter
	Err     io.Writer
	letters *deadletters.Service
}

// withLetters opens store and broker for work on dead letters.
func withLetters(ctx context.Context, c *app.Common, s app.Streams, work func(desk) error) error {
	log := slog.New(slog.NewTextHandler(s.Err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if err := c.CheckStoreOutlivesProcess(); err != nil {
		return err
	}
	queue, err := c.OpenDeadLetterQueue(log)
	if err != nil {
		return err
	}
	defer queue.Close()
	store, err := c.OpenStore(ctx, log)
	if err != nil {
		return err
	}
	defer store.Close()
	letters, err := deadletters.NewService(store.DeadLetters, queue.DeadLetters, log)
	if err != nil {
		return err
	}
	d := desk{s.In, &checkedWriter{Writer: s.Out}, s.Err, letters}
	err = work(d)
	return cmp.Or(err, d.Out.err)
}

func (l *listLetters) Run(ctx context.Context, c *app.Common, s app.Streams) error {
	state, err := deadletters.ParseState(l.State)
	if err != nil {
		return app.UsageErrorf("--state: %q %w", oneLine(l.State), err)
	}
	order, reason, err := l.filters.read()
	if err != nil {
		return err
	}
	if l.Limit < 0 {
		return app.UsageErrorf("--limit: %d is out of range; give 1 or more, or 0 for all", l.Limit)
	}
	return withLetters(ctx, c, s, func(d desk) error {
		table := tabwriter.NewWriter(d.Out, 0, 0, 2, ' ', 0)
		if !l.JSON {
			fmt.Fprintln(table, "ID\tSTATE\tLAST FAILURE\tATTEMPTS\tASIDE\tREASON")
		}
		listed := 0
		query := ports.DeadLetterQuery{State: state, OrderID: order, Reason: reason}
		unreadable, err := d.each(ctx, query, func(letter ports.DeadLetterRecord) bool {
			summary := deadletters.NewSummary(letter)
			if l.JSON {
				d.writeJSON(summary)
			} else {
				fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%s\n", oneLine(summary.ID), summary.State, summary.LastFailure,
					summary.Attempts, summary.TimesAside, oneLine(summary.Reason))
			}
			listed++
			return listed != l.Limit && d.Out.err == nil
		})
		err = errors.Join(err, table.Flush())
		d.tellUnreadable(unreadable)
		return err
	})
}

// each calls do with each letter that the query asks for, until it returns
// false. It returns how many records were left out, for they can't be read.
func (d desk) each(ctx context.Context, query ports.DeadLetterQuery, do func(ports.DeadLetterRecord) bool) (unreadable int, err error) {
	query.Limit = ports.MaxListLimit
	for {
		page, err := d.letters.List(ctx, query)
		if err != nil {
			return unreadable, err
		}
		unreadable += page.Unreadable
		for _, letter := range page.Records {
			if !do(letter) {
				return unreadable, nil
			}
		}
		if page.NextCursor == "" {
			return unreadable, nil
		}
		query.Cursor = page.NextCursor
	}
}

// ids returns the ids of the letters that the query asks for.
func (d desk) ids(ctx context.Context, query ports.DeadLetterQuery) (ids []string, err error) {
	unreadable, err := d.each(ctx, query, func(letter ports.DeadLetterRecord) bool {
		ids = append(ids, letter.ID)
		return true
	})
	d.tellUnreadable(unreadable)
	return ids, err
}

func (l *showLetters) Run(ctx context.Context, c *app.Common, s app.Streams) error {
	return withLetters(ctx, c, s, func(d desk) error {
		var errs []error
		for _, id := range l.IDs {
			ids, err := d.named(ctx, id)
			if err != nil {
				errs = append(errs, err)
			}
			for _, id := range ids {
				letter, err := d.letters.Get(ctx, id)
				switch {
				case err != nil:
					errs = append(errs, err)
				case l.JSON:
					d.writeJSON(deadletters.NewView(letter))
				default:
					d.print(letter)
				}
			}
		}
		return joined(errs)
	})
}

// named returns the ids of the letters that an id names: its own, or those of
// the order's letters.
func (d desk) named(ctx context.Context, id string) ([]string, error) {
	order, err := domain.ParseOrderID(id)
	if err != nil {
		return []string{id}, nil
	}
	ids, err := d.ids(ctx, ports.DeadLetterQuery{OrderID: order})
	if err == nil && len(ids) == 0 {
		err = fmt.Errorf("get dead letters of order %s: %w", order, ports.ErrNotFound)
	}
	return ids, err
}

// joined returns the errors as one, which names 16 at most.
func joined(errs []error) error {
	const most = 16
	if more := len(errs) - most; more > 0 {
		errs = append(errs[:most:most], fmt.Errorf("and %d more", more))
	}
	return errors.Join(errs...)
}
