package app

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/notification"
)

// DeadLetters are the commands by which operators look after dead letters.
// They work on store and broker themselves: the service need not run.
type DeadLetters struct {
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

type listLetters struct {
	State  string `default:"waiting" help:"Of which state: waiting, replayed, discarded or all."`
	Reason string `placeholder:"TEXT" help:"Only those whose reason contains the text."`
	Limit  int    `default:"0" help:"At most so many; 0: all."`
	asJSON
}

type showLetters struct {
	IDs []string `arg:"" name:"id" help:"Ids of dead letters."`
	asJSON
}

// selected says which letters a decision is about: exactly one of the three.
type selected struct {
	IDs    []string `arg:"" optional:"" name:"id" help:"Ids of dead letters."`
	Reason string   `placeholder:"TEXT" help:"All whose reason contains the text."`
	All    bool     `help:"All of them."`
	DryRun bool     `help:"Say which they are, and do nothing."`
	asJSON
}

type (
	replayLetters  struct{ selected }
	restoreLetters struct{ selected }
	discardLetters struct {
		selected
		Yes bool `help:"Do not ask."`
	}
)

// desk is where the commands work.
type desk struct {
	In      io.Reader
	Out     *checkedWriter
	Err     io.Writer
	letters *notification.DeadLetters
}

// withLetters opens store and broker for work on dead letters.
func (c *Common) withLetters(ctx context.Context, s Streams, work func(desk) error) error {
	log := slog.New(slog.NewTextHandler(s.Err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if scheme, err := scheme(c.Store); err == nil && scheme == "memory" {
		return c.storeError(errors.New("it keeps everything within its own process; ask that process, at its --admin-addr, or give a URL that begins with mongodb: instead"))
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
	letters, err := notification.NewDeadLetters(store.DeadLetters, queue.DeadLetters, log)
	if err != nil {
		return err
	}
	d := desk{s.In, &checkedWriter{Writer: s.Out}, s.Err, letters}
	err = work(d)
	return cmp.Or(err, d.Out.err)
}

func (l *listLetters) run(ctx context.Context, c *Common, s Streams) error {
	state, err := notification.ParseState(l.State)
	if err != nil {
		return usageError{fmt.Errorf("--state: %q %w", l.State, err)}
	}
	if l.Limit < 0 {
		return usageError{fmt.Errorf("--limit: %d is out of range; give 1 or more, or 0 for all", l.Limit)}
	}
	return c.withLetters(ctx, s, func(d desk) error {
		table := tabwriter.NewWriter(d.Out, 0, 0, 2, ' ', 0)
		if !l.JSON {
			fmt.Fprintln(table, "ID\tSTATE\tLAST FAILURE\tATTEMPTS\tASIDE\tREASON")
		}
		listed := 0
		err := d.each(ctx, ports.DeadLetterQuery{State: state, Reason: l.Reason}, func(letter ports.DeadLetter) bool {
			summary := notification.NewDeadLetterSummary(letter)
			if l.JSON {
				d.writeJSON(summary)
			} else {
				fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%s\n", oneLine(summary.ID), summary.State, summary.LastFailure,
					summary.Attempts, summary.TimesAside, oneLine(summary.Reason))
			}
			listed++
			return listed != l.Limit && d.Out.err == nil
		})
		return errors.Join(err, table.Flush())
	})
}

// each calls do with each letter that the query asks for, until it returns
// false.
func (d desk) each(ctx context.Context, query ports.DeadLetterQuery, do func(ports.DeadLetter) bool) error {
	query.Limit = ports.MaxListLimit
	for {
		page, err := d.letters.List(ctx, query)
		if err != nil {
			return err
		}
		for _, letter := range page.Letters {
			if !do(letter) {
				return nil
			}
		}
		if page.NextCursor == "" {
			return nil
		}
		query.Cursor = page.NextCursor
	}
}

func (l *showLetters) run(ctx context.Context, c *Common, s Streams) error {
	return c.withLetters(ctx, s, func(d desk) error {
		var errs []error
		for _, id := range l.IDs {
			letter, err := d.letters.Get(ctx, id)
			switch {
			case err != nil:
				errs = append(errs, err)
			case l.JSON:
				d.writeJSON(notification.NewDeadLetterView(letter))
			default:
				d.print(letter)
			}
		}
		return errors.Join(errs...)
	})
}

func (r *replayLetters) run(ctx context.Context, c *Common, s Streams) error {
	return r.decide(ctx, c, s, notification.Replay, true)
}

func (r *restoreLetters) run(ctx context.Context, c *Common, s Streams) error {
	return r.decide(ctx, c, s, notification.Restore, true)
}

func (r *discardLetters) run(ctx context.Context, c *Common, s Streams) error {
	return r.decide(ctx, c, s, notification.Discard, r.Yes)
}

// decide finds the letters, asks if it has to, and decides about just those it
// has found, however long the answer takes.
func (s *selected) decide(ctx context.Context, c *Common, streams Streams, decision notification.Decision, sure bool) error {
	selection := notification.Selection{IDs: s.IDs, Reason: s.Reason, All: s.All}
	if !selection.IsDefinite() {
		return usageError{errors.New("say which dead letters: give their ids, or --reason=TEXT, or --all")}
	}
	return c.withLetters(ctx, streams, func(d desk) error {
		ids := selection.Named()
		if len(ids) == 0 {
			err := d.each(ctx, ports.DeadLetterQuery{State: decision.From(), Reason: s.Reason}, func(letter ports.DeadLetter) bool {
				ids = append(ids, letter.ID)
				return true
			})
			if err != nil {
				return err
			}
		}
		switch {
		case s.DryRun:
			return d.carryOut(ctx, d.letters.Check, decision, ids, "would be "+decision.Past(), s.JSON)
		case len(ids) > 0 && !sure:
			if err := d.confirm(ctx, decision, len(ids)); err != nil {
				return err
			}
		}
		return d.carryOut(ctx, d.letters.Decide, decision, ids, decision.Past(), s.JSON)
	})
}

func (d desk) confirm(ctx context.Context, decision notification.Decision, count int) error {
	fmt.Fprintf(d.Err, "%s %s? They can be restored until %s. Type yes: ", decision, letters(count),
		time.Now().Add(ports.DeadLetterRetention).Format(time.DateOnly))
	answer := make(chan string, 1)
	go func() { // reading knows no end but the answer's, or the process's
		line, _ := bufio.NewReader(d.In).ReadString('\n')
		answer <- strings.TrimSpace(line)
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(d.Err)
		return errors.New("nothing is done: interrupted")
	case line := <-answer:
		if line != "yes" {
			return errors.New("nothing is done: the answer was not yes; --yes does not ask")
		}
		return nil
	}
}

// carryOut decides in portions, and says how far it has come.
func (d desk) carryOut(ctx context.Context, do func(context.Context, notification.Decision, ...string) []error, decision notification.Decision, ids []string, done string, asJSON bool) error {
	const portion = 100
	count, failed := 0, 0
	for some := range slices.Chunk(ids, portion) {
		for i, err := range do(ctx, decision, some...) {
			d.tell(some[i], done, err, asJSON)
			if err != nil {
				failed++
			} else {
				count++
			}
		}
		if len(ids) > portion {
			fmt.Fprintf(d.Err, "%d of %d\n", count+failed, len(ids))
		}
		if err := cmp.Or(ctx.Err(), d.Out.err); err != nil {
			return fmt.Errorf("stopped after %s: %w", letters(count), err)
		}
	}
	fmt.Fprintf(d.Err, "%s %s\n", letters(count), done)
	if failed > 0 {
		return fmt.Errorf("%s could not be %s", letters(failed), decision.Past())
	}
	return nil
}

func (d desk) tell(id, done string, err error, asJSON bool) {
	line := struct {
		ID    string `json:"id"`
		OK    bool   `json:"ok"`
		Error string `json:"error,omitempty"`
	}{id, err == nil, ""}
	if err != nil {
		line.Error = err.Error()
		done = err.Error()
	}
	if asJSON {
		d.writeJSON(line)
	} else {
		fmt.Fprintf(d.Out, "%s  %s\n", printable(id), printable(done))
	}
}
