package deadletters

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"example.com/orderflow/services/actions"
	"example.com/orderflow/services/internal/author"
)

// Decide carries out the decision about each of the dead letters, and returns one
// error for each id. [ErrWrongState], [ErrNotRecorded] and [ports.ErrNotFound] are
// among them, and [ports.ErrChanged] when another operator has decided meanwhile.
//
// A replayed message keeps its event id and starts at its first attempt. If it
// fails again, its dead letter waits again and shows all failures. After a crash
// between replaying and recording, the dead letter still waits. If it is replayed
// again, the delivery log recognises the repeat.
func (s *Service) Decide(ctx context.Context, decision Decision, ids ...string) []error {
	if len(ids) == 0 {
		return nil
	}
	deciding, err := s.Begin(ctx, decision, Selection{IDs: ids})
	if err != nil {
		return slices.Repeat([]error{err}, len(ids))
	}
	defer deciding.End(ctx, nil)
	return deciding.Decide(ctx, ids...)
}

// Deciding is a decision that is being carried out.
type Deciding struct {
	service  *Service
	decision Decision
	running  *actions.Running // nil: a dry run, which is not recorded

	mu           sync.Mutex
	done, failed int
	first        error // of those that failed
}

// Begin records the decision about the selected dead letters. It selects none: the caller
// calls Decide with their ids, once or more often, and then End. If Begin returns an error,
// nothing may be done.
func (s *Service) Begin(ctx context.Context, decision Decision, selection Selection) (*Deciding, error) {
	decision.By = author.Clean(decision.By)
	d := &Deciding{service: s, decision: decision}
	if decision.DryRun {
		return d, nil
	}
	var err error
	d.running, err = s.journal.Begin(ctx, actions.Entry{
		Action: string(decision.Action), By: decision.By, Target: selection.String(), Reason: decision.Why,
	})
	return d, err
}

// Decide is [Service.Decide] as a part of the decision that has begun.
func (d *Deciding) Decide(ctx context.Context, ids ...string) []error {
	errs := d.service.decideAll(ctx, d.decision, ids)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, err := range errs {
		switch {
		case err == nil:
			d.done++
		case d.failed == 0:
			d.first = err
			fallthrough
		default:
			d.failed++
		}
	}
	return errs
}

// decideAll decides about several dead letters at once.
func (s *Service) decideAll(ctx context.Context, decision Decision, ids []string) []error {
	errs := make([]error, len(ids))
	slots := make(chan struct{}, 16) // bounds the decisions carried out at once
	var calls sync.WaitGroup
	for i, id := range ids {
		slots <- struct{}{}
		calls.Go(func() {
			defer func() { <-slots }()
			errs[i] = s.decide(ctx, decision, id)
		})
	}
	calls.Wait()
	return errs
}

// End records how many dead letters were decided about. err is why the caller has stopped
// before the last one; nil: it has not.
func (d *Deciding) End(ctx context.Context, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		err = d.fault()
	}
	if d.running != nil {
		d.running.End(ctx, d.done, err)
	}
}

// endEarly is End of what was stopped before the last of all dead letters, as how says. It has
// failed only if some of them could not be decided about.
func (d *Deciding) endEarly(ctx context.Context, how string, all int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	how = fmt.Sprintf("%s after %d of %d dead letters", how, d.done, all)
	if err := d.fault(); err != nil {
		d.running.End(ctx, d.done, fmt.Errorf("%s; %w", how, err))
		return
	}
	d.running.EndEarly(ctx, d.done, how)
}

// fault says how many dead letters could not be decided about, if any.
func (d *Deciding) fault() error {
	if d.failed == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d dead letters could not be %s; the first: %s",
		d.failed, d.done+d.failed, d.decision.Action.Past(), actions.ErrorText(d.first))
}
