package sqlite

import (
	"context"
	"strings"

	"github.com/ncruces/go-sqlite3"
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
// An entry is in both parts if a program without recursive triggers has replaced its row.
func (l *userList) entries(userID string, where filter) (sql string, args []any) {
	where.conditions = append([]string{"user_id = ?"}, where.conditions...)
	where.args = append([]any{userID}, where.args...)
	each := func(table string) string { return "SELECT user_id, " + l.key + " FROM " + table + where.sql() }
	return each(l.table) + " UNION " + each(l.recent), append(where.args, where.args...)
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
	limit int   // of entries
	count int   // of entries, about: changes of other processes and deletions don't count
	last  []any // the last entry that was moved; nil: the first ones are next
}

// move moves the next entries to the large part, if there are enough: twice as many as the
// transaction has added. They are of few users, so they change few pages.
func (p *recentPart) move(t *tx, added int) error {
	if added == 0 {
		return nil
	}
	count, last := p.count+added, p.last
	if count > p.limit {
		var next filter // selects the entries to move
		if last != nil {
			next.add(p.compare(">"), last...)
		}
		var err error
		if last, err = p.entryAt(t, next, 2*added-1); err != nil {
			return err
		}
		if last != nil {
			next.add(p.compare("<="), last...)
		}
		if _, err := t.exec("INSERT OR IGNORE INTO "+p.table+" SELECT * FROM "+p.recent+next.sql(), next.args...); err != nil {
			return err
		}
		moved, err := t.exec("DELETE FROM "+p.recent+next.sql(), next.args...)
		if err != nil {
			return err
		}
		count -= moved
		if last == nil {
			if count, err = t.countEntries(p.recent); err != nil {
				return err
			}
		}
	}
	t.after = append(t.after, func() { p.count, p.last = count, last })
	return nil
}

// entryAt returns the nth entry that matches the filter, from 0, or nil.
func (p *recentPart) entryAt(t *tx, where filter, n int) (entry []any, err error) {
	err = t.query(func(r row) bool {
		for column := range r.ColumnCount() {
			if r.ColumnType(column) == sqlite3.INTEGER {
				entry = append(entry, r.ColumnInt64(column))
			} else {
				entry = append(entry, r.ColumnText(column))
			}
		}
		return false
	}, "SELECT * FROM "+p.recent+where.sql()+" ORDER BY user_id, "+p.key+" LIMIT 1 OFFSET ?", append(where.args, n)...)
	return entry, err
}

// compare returns the condition that compares an entry with another one.
func (l *userList) compare(operator string) string {
	return "(user_id, " + l.key + ") " + operator + " (?" + strings.Repeat(", ?", 1+strings.Count(l.key, ",")) + ")"
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
