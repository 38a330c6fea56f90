package sqlite

import (
	"context"
	"fmt"
	"time"

	"example.com/orderflow/adapters/internal/cursor"
	"example.com/orderflow/ports"
)

// OperatorActions keeps what operators did.
type OperatorActions struct{ store *Store }

var _ ports.OperatorActions = (*OperatorActions)(nil)

// OperatorActions returns the part.
func (s *Store) OperatorActions() *OperatorActions { return &s.parts.actions }

// forgotten returns the time at or before which actions began whose retention is over.
func (o *OperatorActions) forgotten() time.Time {
	return time.Now().Add(-o.store.options.ActionRetention)
}

// Begin implements [ports.OperatorActions].
func (o *OperatorActions) Begin(ctx context.Context, a ports.OperatorAction) (err error) {
	defer describe(&err, "begin action %s", a.ID)
	return o.store.write(ctx, durable, func(tx *tx) error {
		if _, err := tx.exec("DELETE FROM operator_actions WHERE id = ? AND at <= ?", a.ID, o.forgotten()); err != nil {
			return err
		}
		added, err := tx.exec("INSERT INTO operator_actions (id, at, by, action, target, reason, outcome, n, error) VALUES (?, ?, ?, ?, ?, ?, ?, 0, '') ON CONFLICT DO NOTHING",
			a.ID, a.At.UnixMilli(), a.By, a.Action, a.Target, a.Reason, string(ports.ActionUnknown))
		if err == nil && added == 0 {
			err = ports.ErrExists
		}
		return err
	})
}

// End implements [ports.OperatorActions].
func (o *OperatorActions) End(ctx context.Context, id string, end ports.ActionEnd) (err error) {
	defer describe(&err, "end action %s", id)
	return o.store.write(ctx, durable, func(tx *tx) error {
		ended, err := tx.exec("UPDATE operator_actions SET ended_at = ?, outcome = ?, n = ?, error = ? WHERE id = ? AND at > ?",
			end.EndedAt, string(end.Outcome), end.Count, end.Error, id, o.forgotten())
		if err == nil && ended == 0 {
			err = ports.ErrNotFound
		}
		return err
	})
}

// List implements [ports.OperatorActions].
func (o *OperatorActions) List(ctx context.Context, query ports.OperatorActionQuery) (page ports.OperatorActionPage, err error) {
	defer describe(&err, "list actions")
	var where filter
	where.add("at > ?", o.forgotten())
	by := "by"
	if query.Action != "" {
		where.add("action = ?", query.Action)
		by = "+by" // one index is enough, and has the order
	}
	if query.By != "" {
		where.add(by+" = ?", query.By)
	}
	if !query.From.IsZero() {
		where.add("at >= ?", ceilMilli(query.From))
	}
	if !query.To.IsZero() {
		where.add("at < ?", ceilMilli(query.To))
	}
	if query.Cursor != "" {
		last, err := cursor.DecodeAction(query.Cursor)
		if err != nil {
			return page, err
		}
		where.add("(at, id) < (?, ?)", last.At.UnixMilli(), last.ID)
	}
	found, err := readPage(ctx, o.store, "operator_actions", query.Limit, readAction,
		"SELECT id, at, by, action, target, reason, ended_at, outcome, n, error FROM operator_actions"+where.sql()+" ORDER BY at DESC, id DESC", where.args...)
	if err != nil {
		return page, err
	}
	page.Actions, page.Unreadable = found.records, found.skipped.Count
	if found.more {
		page.NextCursor = cursor.EncodeAction(cursor.OfAction(found.last()))
	}
	return page, nil
}

func readAction(r row) (ports.OperatorAction, error) {
	fields := record{row: r, id: r.ColumnText(0)}
	a := ports.OperatorAction{
		ID: fields.id, At: fields.date(1, "at"), By: r.ColumnText(2), Action: r.ColumnText(3), Target: r.ColumnText(4), Reason: r.ColumnText(5),
		ActionEnd: ports.ActionEnd{EndedAt: r.time(6), Outcome: ports.ActionOutcome(r.ColumnText(7)), Count: r.ColumnInt(8), Error: r.ColumnText(9)},
	}
	if !a.EndedAt.IsZero() {
		fields.writable(a.EndedAt, "ended_at")
	}
	if fault := a.Outcome.Check(); fault != nil {
		fields.fail("outcome", fmt.Sprint(fault))
	}
	if fields.err != nil {
		return ports.OperatorAction{}, fields.err
	}
	return a, nil
}

// sweepActions is how many actions one transaction deletes.
const sweepActions = 500

// sweep deletes the actions whose retention is over. It writes only if there is one.
func (o *OperatorActions) sweep(ctx context.Context) error {
	forgotten, found := o.forgotten(), false
	err := o.store.read(ctx, func(tx *tx) error {
		return tx.query(func(row) bool { found = true; return false }, "SELECT 1 FROM operator_actions WHERE at <= ?", forgotten)
	})
	for deleted := sweepActions; err == nil && found && deleted == sweepActions; {
		err = o.store.write(ctx, fleeting, func(tx *tx) (err error) {
			deleted, err = tx.exec("DELETE FROM operator_actions WHERE id IN (SELECT id FROM operator_actions WHERE at <= ? ORDER BY at LIMIT ?)", forgotten, sweepActions)
			return err
		})
	}
	return err
}
