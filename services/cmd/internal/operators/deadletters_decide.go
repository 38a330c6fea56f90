package operators

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/cmd/internal/app"
	"example.com/orderflow/services/deadletters"
)

type selection struct {
	IDs    []string `arg:"" optional:"" name:"id" help:"Ids of dead letters."`
	All    bool     `help:"Select all dead letters."`
	DryRun bool     `help:"Print the selected dead letters, and change nothing."`
	Why    string   `placeholder:"TEXT" help:"Why, for other operators."`
	filters
	output
}

type (
	replayLetters  struct{ selection }
	restoreLetters struct{ selection }
	discardLetters struct {
		selection
		Yes bool `help:"Do not ask for confirmation."`
	}
)

func (r *replayLetters) Run(ctx context.Context, c *app.Common, s app.Streams) error {
	return r.decide(ctx, c, s, deadletters.Replay, true)
}

func (r *restoreLetters) Run(ctx context.Context, c *app.Common, s app.Streams) error {
	return r.decide(ctx, c, s, deadletters.Restore, true)
}

func (d *discardLetters) Run(ctx context.Context, c *app.Common, s app.Streams) error {
	return d.decide(ctx, c, s, deadletters.Discard, d.Yes)
}

// decide selects dead letters, asks for confirmation unless confirmed, and decides
// about exactly those that it had selected before it asked.
func (sel *selection) decide(ctx context.Context, c *app.Common, streams app.Streams, action deadletters.Action, confirmed bool) error {
	filter, err := sel.filters.parse()
	if err != nil {
		return err
	}
	selection := deadletters.Selection{IDs: sel.IDs, All: sel.All, Filter: filter}
	if slices.ContainsFunc(sel.IDs, func(id string) bool { return id == "" || strings.Contains(id, "://") }) {
		return app.UsageErrorf("an id is empty or a URL; the command list shows the ids")
	}
	if !selection.IsValid() {
		return app.UsageErrorf("give exactly one of ids, --all, and filters such as --order=ID or --reason=TEXT, to select dead letters")
	}
	if utf8.RuneCountInString(sel.Why) > deadletters.MaxWhy {
		return app.UsageErrorf("--why: it has more than %d characters", deadletters.MaxWhy)
	}
	query, err := selection.Query(action)
	if err != nil {
		return asUsage(err)
	}
	return withSession(ctx, c, streams, func(s session) (err error) {
		ids := selection.UniqueIDs()
		if len(ids) == 0 {
			if ids, err = s.ids(ctx, query); err != nil {
				return err
			}
			if len(ids) == 0 && query.OrderID != "" {
				return fmt.Errorf("no dead letter of order %s is %s", query.OrderID, action.From())
			}
		}
		if len(ids) > 0 && !confirmed && !sel.DryRun {
			question := fmt.Sprintf("%s %s? They can be restored until %s.", action, count(len(ids), "dead letter"),
				time.Now().Add(ports.DeadLetterRetention).Format(time.DateOnly))
			if err := s.confirm(ctx, question); err != nil {
				return err
			}
		}
		decision := deadletters.Decision{Action: action, By: currentUser(), Why: sel.Why, DryRun: sel.DryRun}
		return s.carryOut(ctx, decision, selection, ids, sel.JSON)
	})
}

// carryOut decides in batches, and prints its progress. It is one entry among the operators'
// actions, if it is about any dead letter.
func (s session) carryOut(
	ctx context.Context, decision deadletters.Decision, selection deadletters.Selection, ids []string, asJSON bool,
) (err error) {
	const batch = 100
	done := decision.Action.Past()
	if decision.DryRun {
		done = "would be " + done
	}
	changed, failed := 0, 0
	var deciding *deadletters.Deciding
	if len(ids) > 0 {
		if deciding, err = s.service.Begin(ctx, decision, selection); err != nil {
			return err
		}
		defer func() {
			if failed > 0 {
				deciding.End(ctx, nil) // it knows the failures
			} else {
				deciding.End(ctx, err)
			}
		}()
	}
	for chunk := range slices.Chunk(ids, batch) {
		for i, err := range deciding.Decide(ctx, chunk...) {
			s.printResult(chunk[i], done, err, asJSON)
			if err != nil {
				failed++
			} else {
				changed++
			}
		}
		err := s.flush()
		if len(ids) > batch {
			fmt.Fprintf(s.err, "%d of %d\n", changed+failed, len(ids))
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("stopped after %s: %w", count(changed, "dead letter"), err)
		}
	}
	fmt.Fprintf(s.err, "%s %s\n", count(changed, "dead letter"), done)
	if failed > 0 {
		return fmt.Errorf("%s could not be %s", count(failed, "dead letter"), decision.Action.Past())
	}
	return nil
}

func (s session) printResult(id, done string, err error, asJSON bool) {
	result := struct {
		ID    string `json:"id"`
		OK    bool   `json:"ok"`
		Error string `json:"error,omitempty"`
	}{ID: app.Redact(id), OK: err == nil}
	if errors.Is(err, ports.ErrNotFound) {
		err = fmt.Errorf("%w; the command list shows the ids, --order=ID selects those of an order", err)
	}
	if err != nil {
		result.Error = app.Redact(err.Error())
		done = result.Error
	}
	if asJSON {
		s.printJSON(result)
	} else {
		fmt.Fprintf(s.out, "%s  %s\n", app.Printable(result.ID), app.Printable(done))
	}
}
