package sqlite

import (
	"context"

	"example.com/orderflow/adapters/internal/accounts"
	"example.com/orderflow/ports"
)

// Groups implements [ports.DeadLetters]. It reads one index, and with query.Reason also the
// failures of the letters that match otherwise.
func (d *DeadLetters) Groups(ctx context.Context, query ports.DeadLetterQuery) (_ ports.DeadLetterGroups, err error) {
	defer describe(&err, "group dead letters")
	states := []ports.DeadLetterState{ports.Waiting, ports.Replayed, ports.Discarded}
	if query.State != "" {
		states = []ports.DeadLetterState{query.State}
	}
	var groups accounts.Groups
	err = d.store.read(ctx, func(tx *tx) error {
		groups = make(accounts.Groups)
		for _, state := range states { // with one state, the index has each group's letters together
			query.State = state
			if err := d.group(tx, query, groups); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return ports.DeadLetterGroups{}, err
	}
	return groups.Largest(), nil
}

// group adds the letters of the query's state to the groups.
func (d *DeadLetters) group(tx *tx, query ports.DeadLetterQuery, groups accounts.Groups) error {
	var where filter
	d.selectLetters(&where, query, func(column string) string { return column })
	if query.Reason != "" {
		where.add("json_valid(failures) AND instr(json_extract(failures, '$[#-1].reason'), ?)", query.Reason)
	}
	return tx.query(func(r row) bool {
		groups.Add(ports.DeadLetterGroup{
			Subscription: r.ColumnText(0), Reason: r.ColumnText(1), Count: r.ColumnInt(2), Oldest: r.time(3), Newest: r.time(4),
		})
		return true
	}, "SELECT subscription, reason_group, count(*), min(since), max(since) FROM dead_letters INDEXED BY dead_letters_groups"+
		where.sql()+" GROUP BY subscription, reason_group", where.args...)
}

// selectLetters adds the query's conditions but those of Reason and Cursor. name returns the
// name of a column, with a sign if no index on it may be used.
func (d *DeadLetters) selectLetters(where *filter, query ports.DeadLetterQuery, name func(column string) string) {
	where.add(retained, d.forgotten())
	for _, equal := range []struct{ column, value string }{
		{"state", string(query.State)}, {"event_type", query.EventType}, {"reason_group", query.Group},
	} {
		if equal.value != "" {
			where.add(name(equal.column)+" = ?", equal.value)
		}
	}
	if query.Subscription != nil {
		where.add(name("subscription")+" = ?", *query.Subscription)
	}
	if query.UserID != "" {
		where.add(name("user_id")+" = ? AND user_id <> ''", query.UserID)
	}
	if query.OrderID != "" {
		where.add("id >= ? AND id < ?", string(query.OrderID)+"-", string(query.OrderID)+".") // "." follows "-" in ASCII
	}
	if !query.From.IsZero() {
		where.add(name("since")+" >= ?", ceilMilli(query.From))
	}
	if !query.To.IsZero() {
		where.add(name("since")+" < ?", ceilMilli(query.To))
	}
}
