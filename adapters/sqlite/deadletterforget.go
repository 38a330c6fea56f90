package sqlite

import (
	"context"
	"errors"

	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/ports"
)

// Forget reads this many letters in one transaction, or fewer if their messages are
// large.
const (
	forgetBatch      = 100
	forgetBatchBytes = 16 << 20
)

// Forget implements [ports.DeadLetters]. It reads all letters in batches, and changes a
// batch's letters in one transaction, so that other callers don't wait long. If the process
// dies, the next call finds the others.
func (d *DeadLetters) Forget(ctx context.Context, userID string) (forgotten int, err error) {
	defer describe(&err, "forget a user's dead letters")
	for from := int64(0); ; {
		found, err := d.findOf(ctx, userID, from)
		if err != nil {
			return forgotten, err
		}
		erased, err := d.erase(ctx, userID, found.rows)
		forgotten += erased
		if err != nil || found.end {
			return forgotten, err
		}
		from = found.last + 1
	}
}

// lettersOf are the letters of a user in one batch.
type lettersOf struct {
	rows []int64
	last int64 // the last row of the batch, whoever its user is
	end  bool  // no more rows follow
}

// findOf reads a batch of letters.
func (d *DeadLetters) findOf(ctx context.Context, userID string, from int64) (found lettersOf, err error) {
	err = d.store.read(ctx, func(tx *tx) error {
		count, bytes := 0, 0
		found.end = true
		return tx.query(func(r row) bool {
			if count == forgetBatch || bytes >= forgetBatchBytes {
				found.end = false
				return false
			}
			body := r.ColumnRawBlob(1)
			count, bytes, found.last = count+1, bytes+len(body), r.ColumnInt64(0)
			if wire.IsAbout(ports.Message{Body: body}, userID) {
				found.rows = append(found.rows, found.last)
			}
			return true
		}, "SELECT rowid, body FROM dead_letters WHERE rowid >= ? AND "+retained+" ORDER BY rowid", from, d.forgotten())
	})
	return found, err
}

// erase removes what the letters in these rows say of the user, and discards those that
// wait. It returns how many are still the user's. It skips and logs letters that it can't
// read.
func (d *DeadLetters) erase(ctx context.Context, userID string, rows []int64) (int, error) {
	if len(rows) == 0 {
		return 0, nil
	}
	var erased int
	var unreadable skipped
	err := d.store.write(ctx, durable, func(tx *tx) error {
		erased, unreadable = 0, skipped{}
		for _, row := range rows {
			letter, err := readOne(tx, readWholeRecord, selectWholeRecords+" WHERE rowid = ? AND "+retained, row, d.forgotten())
			switch {
			case errors.As(err, new(*ports.UnreadableError)):
				unreadable.add(err)
				continue
			case errors.Is(err, ports.ErrNotFound) || err == nil && !wire.IsAbout(letter.Message, userID):
				continue
			case err != nil:
				return err
			}
			if err := tx.overwriting(func() error { return tx.empty(letter) }); err != nil {
				return err
			}
			erased++
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	unreadable.log(ctx, d.store.options.Logger, "dead_letters")
	return erased, nil
}

// empty removes the letter's body, headers and reasons, and discards it if it waits.
func (t *tx) empty(letter ports.DeadLetterRecord) error {
	letter.Message.Headers = nil
	for i := range letter.Failures {
		letter.Failures[i].Reason = ""
	}
	message, err := encodeProperties(letter.Message)
	if err != nil {
		return err
	}
	failures, err := encodeFailures(letter.Failures)
	if err != nil {
		return err
	}
	_, err = t.exec("UPDATE dead_letters SET failures = ?, properties = ?, body = x'', user_id = '', reason_group = '' WHERE id = ?", failures, message, letter.ID)
	if err == nil && letter.State == ports.Waiting {
		err = t.settle(letter, ports.Discarded, ports.SettledByForget)
	}
	return err
}
