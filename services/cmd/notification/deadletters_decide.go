package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/cmd/internal/app"
	"example.com/orderflow/services/deadletters"
)

// selected says which letters a decision is about: exactly one of ids, order,
// reason and all.
type selected struct {
	IDs    []string `arg:"" optional:"" name:"id" help:"Ids of dead letters."`
	All    bool     `help:"All of them."`
	DryRun bool     `help:"Say which they are, and do nothing."`
	filters
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

func (r *replayLetters) Run(ctx context.Context, c *app.Common, s app.Streams) error {
	return r.decide(ctx, c, s, deadletters.Replay, true)
}

func (r *restoreLetters) Run(ctx context.Context, c *app.Common, s app.Streams) error {
	return r.decide(ctx, c, s, deadletters.Restore, true)
}

func (r *discardLetters) Run(ctx context.Context, c *app.Common, s app.Streams) error {
	return r.decide(ctx, c, s, deadletters.Discard, r.Yes)
}

// decide finds the letters, asks if it has to, and decides about just those it
// has found, however long the answer takes.
func (s *selected) decide(ctx context.Context, c *app.Common, streams app.Streams, decision deadletters.Decision, sure bool) error {
	order, reason, err := s.filters.read()
	if err != nil {
		return err
	}
	selection := deadletters.Selection{IDs: s.IDs, OrderID: order, Reason: reason, All: s.All}
	if slices.ContainsFunc(s.IDs, func(id string) bool { return id == "" || strings.Contains(id, "://") }) {
		return app.UsageErrorf("an id is empty or a URL; list names the letters")
	}
	if !selection.IsDefinite() {
		return app.UsageErrorf("which dead letters? give exactly one of ids, --order=ID, --reason=TEXT, --all")
	}
	return withLetters(ctx, c, streams, func(d desk) (err error) {
		ids := selection.Named()
		if len(ids) == 0 {
			if ids, err = d.ids(ctx, selection.Query(decision)); err != nil {
				return err
			}
			if len(ids) == 0 && order != "" {
				return fmt.Errorf("no dead letter of order %s is %s", order, decision.From())
			}
		}
		by := operator()
		decide := func(ids ...string) []error { return d.letters.Decide(ctx, decision, by, ids...) }
		switch {
		case s.DryRun:
			check := func(ids ...string) []error { return d.letters.Check(ctx, decision, ids...) }
			return d.carryOut(ctx, check, decision, ids, "would be "+decision.Past(), s.JSON)
		case len(ids) > 0 && !sure:
			if err := d.confirm(ctx, decision, len(ids)); err != nil {
				return err
			}
		}
		return d.carryOut(ctx, decide, decision, ids, decision.Past(), s.JSON)
	})
}

// operator returns who runs the command, as user and host. An image from
// scratch has no names of users, only their numbers.
func operator() string {
	name := strconv.Itoa(os.Getuid())
	if u, err := user.Current(); err == nil && u.Username != "" {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil && host != "" {
		name += "@" + host
	}
	return name
}

func (d desk) confirm(ctx context.Context, decision deadletters.Decision, count int) error {
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
func (d desk) carryOut(ctx context.Context, do func(ids ...string) []error, decision deadletters.Decision, ids []string, done string, asJSON bool) error {
	const portion = 100
	count, failed := 0, 0
	for some := range slices.Chunk(ids, portion) {
		for i, err := range do(some...) {
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
	}{app.Redact(id), err == nil, ""}
	if errors.Is(err, ports.ErrNotFound) {
		err = fmt.Errorf("%w; list names the letters, --order=ID takes those of an order", err)
	}
	if err != nil {
		line.Error = app.Redact(err.Error())
		done = line.Error
	}
	if asJSON {
		d.writeJSON(line)
	} else {
		fmt.Fprintf(d.Out, "%s  %s\n", app.Printable(app.Redact(id)), app.Printable(done))
	}
}
