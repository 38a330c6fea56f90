package move

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/retry"
)

// kind is one kind of records: how they are listed, compared and stored.
type kind[T any] struct {
	name    string // in the plural
	total   int
	workers int
	chunk   int // records in one call of put

	source, target lister[T]
	compare        func(a, b T) int // in the order of both lists
	id             func(T) string

	load func(context.Context, T) (T, error) // the source's record if its list has not all of it; nil: it has
	find func(context.Context, T) (T, error) // the target's record with the same id; nil: the list has it

	// findsItself says that put does not need find for a record that the target's list
	// does not have at the same place.
	findsItself bool

	isNewer func(target, source T) bool
	put     func(context.Context, []*change[T]) error

	// settle is called with each record that both sides have; nil: not called.
	settle func(ctx context.Context, record T, copied bool) error
}

// change is a record of the source, and what the target has instead, or nil.
type change[T any] struct {
	record T
	before *T
	kept   bool // put has left the target's record as it is
}

// keep returns nil after an error that only concerns this record: the target has another
// one, which stays, or one of both can't be read or stored. The account shows it.
func (c *change[T]) keep(err error, reasons ...error) error {
	isOwn := func(reason error) bool { return errors.Is(err, reason) }
	if slices.ContainsFunc(reasons, isOwn) || ports.IsPermanent(err) || isUnreadable(err) {
		c.kept = true
		return nil
	}
	return err
}

func isUnreadable(err error) bool { return errors.As(err, new(*ports.UnreadableError)) }

// oneByOne makes a put of a function that stores one record.
func oneByOne[T any](put func(context.Context, *change[T]) error) func(context.Context, []*change[T]) error {
	return func(ctx context.Context, changes []*change[T]) error {
		for _, c := range changes {
			if err := put(ctx, c); err != nil {
				return err
			}
		}
		return nil
	}
}

// walker is one walk over the records of a kind.
type walker[T any] struct {
	kind[T]
	copying bool
	dryRun  bool
	fresh   bool // the target's list was empty at the beginning
	done    atomic.Int64

	mu   sync.Mutex
	line *Line
}

// walk compares the lists of both sides, and copies what the target lacks or adds a line
// to the report. Many workers handle the records, because the stores gather their calls.
func walk[T any](ctx context.Context, m *mover, k kind[T], copying bool) error {
	w := &walker[T]{kind: k, copying: copying, dryRun: m.options.DryRun, line: m.report.line(k.name, copying)}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer m.watch(&w.done, copying, k.name, k.total)()
	chunks := make(chan []*change[T])
	var workers sync.WaitGroup
	for range k.workers {
		workers.Go(func() {
			for chunk := range chunks {
				if ctx.Err() != nil {
					continue
				}
				if err := w.handle(ctx, chunk); err != nil {
					stop(err)
				}
			}
		})
	}
	err := w.list(ctx, chunks)
	close(chunks)
	workers.Wait()
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if err != nil {
		return fmt.Errorf("%s: %w", k.name, err)
	}
	return nil
}

// list sends all records of the source in chunks.
func (w *walker[T]) list(ctx context.Context, chunks chan<- []*change[T]) error {
	source, target := pager[T]{list: w.source}, pager[T]{list: w.kind.target}
	if _, more, err := target.peek(ctx); err != nil {
		return err
	} else if !more {
		w.fresh = true
	}
	var chunk []*change[T]
	for {
		record, more, err := source.next(ctx)
		if err != nil {
			return err
		}
		if more {
			before, err := w.counterpart(ctx, &target, record)
			if err != nil {
				return err
			}
			chunk = append(chunk, &change[T]{record: record, before: before})
		}
		if len(chunk) == w.chunk || !more && len(chunk) > 0 {
			select {
			case chunks <- chunk:
				chunk = nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if !more {
			break
		}
	}
	if !w.copying {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.line.Unreadable += source.unreadable
	}
	return nil
}

// counterpart returns the target's record at the same place of the list, or nil.
func (w *walker[T]) counterpart(ctx context.Context, target *pager[T], record T) (*T, error) {
	for {
		other, more, err := target.peek(ctx)
		if err != nil || !more {
			return nil, err
		}
		order := w.compare(other, record)
		if order > 0 {
			return nil, nil
		}
		if _, _, err := target.next(ctx); err != nil {
			return nil, err
		}
		if order == 0 {
			return &other, nil
		}
	}
}

func (w *walker[T]) handle(ctx context.Context, chunk []*change[T]) error {
	defer w.done.Add(int64(len(chunk)))
	var lacking []*change[T]
	for _, c := range chunk {
		state, fields, err := w.examine(ctx, c)
		if err != nil {
			return err
		}
		if w.copying && (state == missing || state == different) {
			lacking = append(lacking, c)
			continue
		}
		if !w.copying {
			w.count(c, state, fields)
		}
		if state == same && w.settle != nil {
			if err := w.settle(ctx, c.record, false); err != nil {
				return err
			}
		}
	}
	if len(lacking) == 0 {
		return nil
	}
	if err := insist(ctx, func(ctx context.Context) error { return w.put(ctx, lacking) }); err != nil {
		return fmt.Errorf("%s: %w", w.id(lacking[0].record), err)
	}
	lacking = slices.DeleteFunc(lacking, func(c *change[T]) bool { return c.kept })
	w.mu.Lock()
	w.line.Copied += len(lacking)
	w.mu.Unlock()
	for _, c := range lacking {
		if w.settle != nil {
			if err := w.settle(ctx, c.record, true); err != nil {
				return err
			}
		}
	}
	return nil
}

// state is how the target's record differs from the source's.
type state int

const (
	same       state = iota
	newer            // the target's record has changed since it was copied
	missing          // the target has none
	different        // in these fields
	gone             // the source has it no more: its retention has ended
	unreadable       // at the source
	blocked          // by a record of the target that can't be read
)

// examine loads what the lists have not, and compares both records.
func (w *walker[T]) examine(ctx context.Context, c *change[T]) (_ state, fields []string, err error) {
	if w.load != nil {
		c.record, err = w.load(ctx, c.record)
		switch {
		case errors.Is(err, ports.ErrNotFound):
			return gone, nil, nil
		case isUnreadable(err):
			return unreadable, nil, nil
		case err != nil:
			return 0, nil, err
		}
	}
	isLight := c.before != nil && w.load != nil
	if isElsewhere := c.before == nil && !w.fresh && !(w.copying && w.findsItself); w.find != nil && (isLight || isElsewhere) {
		c.before, err = w.lookUp(ctx, c.record)
		switch {
		case isUnreadable(err):
			return blocked, []string{err.Error()}, nil
		case err != nil:
			return 0, nil, err
		}
	}
	if c.before == nil {
		return missing, nil, nil
	}
	switch fields = differences(*c.before, c.record); {
	case len(fields) == 0:
		return same, nil, nil
	case w.isNewer(*c.before, c.record):
		return newer, nil, nil
	}
	return different, fields, nil
}

func (w *walker[T]) lookUp(ctx context.Context, record T) (*T, error) {
	var found *T
	err := insist(ctx, func(ctx context.Context) error {
		other, err := w.find(ctx, record)
		found = nil
		if err == nil {
			found = &other
		}
		if errors.Is(err, ports.ErrNotFound) {
			err = nil
		}
		return err
	})
	return found, err
}

func (w *walker[T]) count(c *change[T], s state, fields []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.line
	if s != gone && s != unreadable {
		l.InFile++
	}
	switch s {
	case unreadable:
		l.Unreadable++
	case same:
		l.Same++
	case newer:
		l.Newer++
	case missing:
		l.Missing++
		if !w.dryRun { // a copy would not miss it
			l.fault("missing: " + w.id(c.record))
		}
	case different, blocked:
		l.Different++
		l.fault("different: " + w.id(c.record) + ": " + strings.Join(fields, ", "))
	}
}

// insist repeats the call while the target is unavailable, or another process holds a
// claim.
func insist(ctx context.Context, call func(context.Context) error) (err error) {
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	retry.Until(bounded, 2*time.Second, func() bool {
		err = call(ctx)
		isTemporary := errors.Is(err, ports.ErrUnavailable) && !errors.Is(err, ports.ErrRefused) || errors.Is(err, ports.ErrClaimed)
		return !isTemporary
	})
	return err
}

// watch reports the progress once a second until the returned function is called.
func (m *mover) watch(done *atomic.Int64, copying bool, kind string, total int) (stop func()) {
	if m.options.Progress == nil {
		return func() {}
	}
	doing := "account for"
	if copying {
		doing = "copy"
	}
	ended := make(chan struct{})
	var reporter sync.WaitGroup
	reporter.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		last := int64(0)
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
				now := done.Load()
				m.options.Progress(Progress{doing, kind, int(now), total, int(now - last)})
				last = now
			}
		}
	})
	return func() {
		close(ended)
		reporter.Wait()
	}
}

// line returns the line of the kind: in an account a new one, which keeps what was copied.
func (r *Report) line(kind string, copying bool) *Line {
	if i := slices.IndexFunc(r.Lines, func(l *Line) bool { return l.Kind == kind }); i >= 0 {
		return r.Lines[i]
	}
	r.Lines = append(r.Lines, &Line{Kind: kind})
	return r.Lines[len(r.Lines)-1]
}
