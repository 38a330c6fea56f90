package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/orderflow/adapters/internal/cursor"
	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// DeadLetters keeps dead letters.
type DeadLetters struct{ store *Store }

var _ ports.DeadLetters = (*DeadLetters)(nil)

// DeadLetters returns the part.
func (s *Store) DeadLetters() *DeadLetters { return &s.parts.deadLetters }

// retained selects the letters whose retention is not over. Its parameter is the time
// that forgotten returns.
const retained = "(settled_at IS NULL OR settled_at > ?)"

// forgotten returns the time before which letters were settled whose retention is over.
func (d *DeadLetters) forgotten() time.Time {
	return time.Now().Add(-d.store.options.DeadLetterRetention)
}

// maxMessage bounds a message, as MongoDB does, so that every letter can be moved there.
const maxMessage = 15 << 20 // bytes

// Put implements [ports.DeadLetters].
func (d *DeadLetters) Put(ctx context.Context, letter ports.DeadLetter) (err error) {
	defer describe(&err, "put dead letter %s", letter.ID)
	properties, err := encodeProperties(letter.Message)
	if err != nil {
		return err
	}
	if size := len(properties) + len(letter.Message.Body); size > maxMessage {
		return ports.Permanent(fmt.Errorf("it takes %d bytes, the limit is %d", size, maxMessage))
	}
	failure := letter.Failure
	failure.FirstFailure, failure.LastFailure = domain.TruncateTime(failure.FirstFailure), domain.TruncateTime(failure.LastFailure)
	return d.store.write(ctx, durable, func(tx *tx) error {
		record, err := readOne(tx, readWholeRecord, selectWholeRecords+" WHERE id = ? AND "+retained, letter.ID, d.forgotten())
		switch {
		case errors.Is(err, ports.ErrNotFound):
			return tx.addLetter(letter, properties, failure)
		case errors.As(err, new(*ports.UnreadableError)):
			return ports.Permanent(err)
		case err != nil:
			return err
		}
		return tx.addFailure(record, failure)
	})
}

// addLetter stores the letter, in place of one whose retention is over.
func (t *tx) addLetter(letter ports.DeadLetter, properties string, failure ports.Failure) error {
	failures, err := encodeFailures([]ports.Failure{failure})
	if err != nil {
		return err
	}
	eventType, userID := wire.Describe(letter.Message)
	_, err = t.exec("INSERT OR REPLACE INTO dead_letters (id, subscription, message_id, state, since, settled_by, event_type, user_id, reason_group, failures, properties, body)"+
		" VALUES (?, ?, ?, ?, ?, '', ?, ?, ?, ?, ?, ?)", letter.ID, letter.Subscription, letter.Message.ID, string(ports.Waiting), failure.FirstFailure.UnixMilli(),
		eventType, userID, ports.ReasonGroup(failure.Reason), failures, properties, letter.Message.Body)
	return err
}

// addFailure adds a failure that the record does not have, and makes it wait.
func (t *tx) addFailure(record ports.DeadLetterRecord, failure ports.Failure) error {
	i, known := slices.BinarySearchFunc(record.Failures, failure, func(a, b ports.Failure) int { return a.LastFailure.Compare(b.LastFailure) })
	if known {
		return nil
	}
	all := slices.Insert(record.Failures, i, failure)
	failures, err := encodeFailures(all[max(len(all)-ports.MaxFailures, 0):])
	if err != nil {
		return err
	}
	_, err = t.exec("UPDATE dead_letters SET failures = ?, reason_group = ? WHERE id = ?", failures, ports.ReasonGroup(all[len(all)-1].Reason), record.ID)
	if err == nil {
		err = t.settle(record, ports.Waiting, "")
	}
	return err
}

// sweepBatch is how many letters one transaction deletes. A message can be large.
const sweepBatch = 10

// sweep deletes the letters whose retention is over, which no method finds any more. It
// writes only if there is one.
func (d *DeadLetters) sweep(ctx context.Context) error {
	forgotten, found := d.forgotten(), false
	err := d.store.read(ctx, func(tx *tx) error {
		return tx.query(func(row) bool { found = true; return false }, "SELECT 1 FROM dead_letters WHERE settled_at <= ?", forgotten)
	})
	for deleted := sweepBatch; err == nil && found && deleted == sweepBatch; {
		err = d.store.write(ctx, fleeting, func(tx *tx) (err error) {
			deleted, err = tx.exec("DELETE FROM dead_letters WHERE rowid IN (SELECT rowid FROM dead_letters WHERE settled_at <= ? ORDER BY settled_at LIMIT ?)",
				forgotten, sweepBatch)
			return err
		})
	}
	return err
}

// Get implements [ports.DeadLetters].
func (d *DeadLetters) Get(ctx context.Context, id string) (record ports.DeadLetterRecord, err error) {
	defer describe(&err, "get dead letter %s", id)
	err = d.store.read(ctx, func(tx *tx) (err error) {
		record, err = readOne(tx, readWholeRecord, selectWholeRecords+" WHERE id = ? AND "+retained, id, d.forgotten())
		return err
	})
	return record, err
}

// List implements [ports.DeadLetters].
func (d *DeadLetters) List(ctx context.Context, query ports.DeadLetterQuery) (page ports.DeadLetterPage, err error) {
	defer describe(&err, "list dead letters")
	var where filter
	indexed, order := []string{"state", "since"}, " ORDER BY since, id"
	switch {
	case query.OrderID != "": // its letters are few, so they are found by id and sorted
		indexed, order = nil, " ORDER BY +since, +id"
	case query.UserID != "":
		indexed = []string{"user_id", "since"}
	case query.State != "" && query.Subscription != nil && query.Group != "":
		indexed = []string{"state", "subscription", "reason_group", "since"}
	}
	d.selectLetters(&where, query, func(column string) string {
		if slices.Contains(indexed, column) {
			return column
		}
		return "+" + column
	})
	if query.Cursor != "" {
		after, err := cursor.DecodeLetter(query.Cursor)
		if err != nil {
			return page, err
		}
		where.add("(since, id) > (?, ?)", after.Since.UnixMilli(), after.ID)
	}
	read := func(r row) (ports.DeadLetterRecord, error) {
		record, err := readRecord(r)
		if err == nil && !strings.Contains(record.LatestFailure().Reason, query.Reason) {
			err = errUnmatched
		}
		return record, err
	}
	found, err := readPage(ctx, d.store, "dead_letters", query.Limit, read, selectRecords+where.sql()+order, where.args...)
	if err != nil {
		return page, err
	}
	page.Records, page.Unreadable = found.records, found.skipped.Count
	if found.more {
		page.NextCursor = cursor.EncodeLetter(cursor.OfLetter(found.last()))
	}
	return page, nil
}

// Settle implements [ports.DeadLetters].
func (d *DeadLetters) Settle(ctx context.Context, read ports.DeadLetterRecord, state ports.DeadLetterState, by string) (err error) {
	defer describe(&err, "settle dead letter %s", read.ID)
	if err := state.Check(); err != nil {
		return err
	}
	return d.store.write(ctx, durable, func(tx *tx) error {
		now, err := readOne(tx, readRecord, selectRecords+" WHERE id = ? AND "+retained, read.ID, d.forgotten())
		if err != nil {
			return err
		}
		if !isUnchanged(now, read) {
			return ports.ErrChanged
		}
		return tx.settle(now, state, by)
	})
}

// isUnchanged reports whether the record is as it was read: with the same state and
// failures.
func isUnchanged(now, read ports.DeadLetterRecord) bool {
	sameTime := func(a, b ports.Failure) bool { return a.LastFailure.Equal(b.LastFailure) }
	return now.State == read.State && now.SettledAt.Equal(read.SettledAt) && slices.EqualFunc(now.Failures, read.Failures, sameTime)
}

// settle changes the letter's state.
func (t *tx) settle(letter ports.DeadLetterRecord, state ports.DeadLetterState, by string) error {
	t.countLetter(letter.State, letter.ID, letter.Subscription, -1)
	t.countLetter(state, letter.ID, letter.Subscription, 1)
	var at time.Time
	if state == ports.Waiting {
		by = ""
	} else {
		at = time.Now()
	}
	_, err := t.exec("UPDATE dead_letters SET state = ?, settled_at = ?, settled_by = ? WHERE id = ?", string(state), at, by, letter.ID)
	return err
}
