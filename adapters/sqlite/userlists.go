package sqlite

import (
	"context"
	"strings"
)

// userList is an index by user that has two parts: see userlists.sql. Triggers add and delete
// entries.
type userList struct {
	table  string // the large part
	recent string // the other one
	key    string // its columns after user_id
}

var (
	userOrders     = &userList{"user_orders", "recent_user_orders", "created_at, id"}
	userDeliveries = &userList{"user_deliveries", "recent_user_deliveries", "at, event_id, channel, recipient"}
)

// entries selects the user's entries that match the filter, which needs no other columns.
func (l *userList) entries(userID string, where filter) (sql string, args []any) {
	where.conditions = append([]string{"user_id = ?"}, where.conditions...)
	where.args = append([]any{userID}, where.args...)
	each := func(table string) string { return "SELECT user_id, " + l.key + " FROM " + table + where.sql() }
	return each(l.table) + " UNION ALL " + each(l.recent), append(where.args, where.args...)
}

// latest selects a user's rows in the table, the latest entry first. The entries match
// inner, and the rows match outer. LIMIT -1 keeps the order in the join: SQLite merges both
// parts and sorts nothing.
func (l *userList) latest(columns, table, userID string, inner, outer filter) (sql string, args []any) {
	entries, args := l.entries(userID, inner)
	order := " ORDER BY " + strings.ReplaceAll(l.key, ",", " DESC,") + " DESC"
	return "SELECT " + columns + " FROM (" + entries + order + " LIMIT -1) CROSS JOIN " + table +
		" USING (user_id, " + l.key + ")" + outer.sql(), append(args, outer.args...)
}

// maxRecent is about how many entries a recent part keeps: some hundred pages.
const maxRecent = 8192

// recentPart is what the writer knows of a recent part.
type recentPart struct {
	*userList
	limit int    // of entries
	count int    // of entries, about: changes of other processes and deletions don't count
	last  string // user whose entries were moved
}

// move moves the entries of the next users to the large part, if there are enough. It
// moves more than were added in the transaction. They are of few users, so they change
// few pages.
func (p *recentPart) move(t *tx, added int) error {
	if added == 0 {
		return nil
	}
	count, last := p.count+added, p.last
	if count > p.limit {
		last = ""
		err := t.query(func(r row) bool { last = r.ColumnText(0); return false },
			"SELECT user_id FROM "+p.recent+" WHERE user_id > ? ORDER BY user_id LIMIT 1 OFFSET ?", p.last, 2*added)
		if err != nil {
			return err
		}
		where, args := " WHERE user_id > ?", []any{p.last}
		if last != "" {
			where, args = where+" AND user_id <= ?", append(args, last)
		}
		if _, err := t.exec("INSERT OR IGNORE INTO "+p.table+" SELECT * FROM "+p.recent+where, args...); err != nil {
			return err
		}
		moved, err := t.exec("DELETE FROM "+p.recent+where, args...)
		if err != nil {
			return err
		}
		count -= moved
		if last == "" { // the first users are next
			if count, err = t.countEntries(p.recent); err != nil {
				return err
			}
		}
	}
	t.after = append(t.after, func() { p.count, p.last = count, last })
	return nil
}

// countRecent counts the entries of the recent parts.
func (s *Store) countRecent(ctx context.Context) error {
	return s.read(ctx, func(tx *tx) (err error) {
		for i := range s.recent {
			if s.recent[i].count, err = tx.countEntries(s.recent[i].recent); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t *tx) countEntries(table string) (n int, err error) {
	err = t.query(func(r row) bool { n = r.ColumnInt(0); return false }, "SELECT count(*) FROM "+table)
	return n, err
}
