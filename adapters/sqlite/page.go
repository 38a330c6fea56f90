package sqlite

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"example.com/orderflow/adapters/internal/records"
	"example.com/orderflow/ports"
)

// page is one page of a list.
type page[T any] struct {
	records []T
	more    bool // another record follows
	skipped skipped
}

// last returns the page's last record.
func (p page[T]) last() T { return p.records[len(p.records)-1] }

// errUnmatched is returned by a function that reads a row when the query does not ask
// for the record.
var errUnmatched = errors.New("does not match")

// readPage returns the first records that the statement finds: at most limit, or the
// nearest number from 1 to MaxListLimit. It logs what it skips. The statement has no
// LIMIT, but readPage reads no more rows after the first record of the next page.
func readPage[T any](
	ctx context.Context, s *Store, table string, limit int, read func(row) (T, error), sql string, args ...any,
) (p page[T], err error) {
	limit = min(max(limit, 1), ports.MaxListLimit)
	var seen skipped
	err = s.read(ctx, func(tx *tx) error {
		return tx.query(func(r row) bool {
			record, err := read(r)
			switch {
			case err == errUnmatched:
			case err != nil:
				seen.add(err)
			case len(p.records) == limit:
				p.more = true
				return false // unreadable rows before this one belong to the next page
			default:
				p.records = append(p.records, record)
				p.skipped = seen
			}
			return true
		}, sql, args...)
	})
	if err != nil {
		return page[T]{}, err
	}
	if !p.more {
		p.skipped = seen
	}
	p.skipped.log(ctx, s.options.Logger, table)
	return p, nil
}

// readOne returns the record of the only row that the statement finds, or
// [ports.ErrNotFound].
func readOne[T any](tx *tx, read func(row) (T, error), sql string, args ...any) (record T, err error) {
	fault := ports.ErrNotFound
	err = tx.query(func(r row) bool {
		record, fault = read(r)
		return false
	}, sql, args...)
	if err == nil {
		err = fault
	}
	return record, err
}

// skipped are the unreadable records of a call.
type skipped struct{ records.Skipped }

// add adds a record by its [*ports.UnreadableError].
func (p *skipped) add(fault error) {
	id := ""
	if of, ok := fault.(*ports.UnreadableError); ok {
		id = of.ID
	}
	p.Add(id, fault)
}

func (p *skipped) log(ctx context.Context, log *slog.Logger, table string) {
	p.Log(ctx, log, "table", table)
}

// unreadable returns the error of the record with this id.
func unreadable(id, field, reason string) error {
	return &ports.UnreadableError{ID: records.ShortID(id), Field: field, Reason: reason}
}

// filter is the condition of a list.
type filter struct {
	conditions []string
	args       []any
}

func (f *filter) add(condition string, args ...any) {
	f.conditions = append(f.conditions, condition)
	f.args = append(f.args, args...)
}

// sql returns the WHERE clause, or nothing.
func (f *filter) sql() string {
	if len(f.conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(f.conditions, " AND ")
}
