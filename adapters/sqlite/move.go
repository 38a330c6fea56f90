package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// BeginMove begins to move the file's data to another store, with this name for people.
// From now on no other store can open the file, until EndMove, or until this store is
// closed or its process dies. A file that was moved before stays moved.
//
// An error is returned when other stores have the file open.
func (s *Store) BeginMove(ctx context.Context, target string) (err error) {
	defer describe(&err, "begin to move")
	if err := s.freeDeadOwners(ctx); err != nil {
		return err
	}
	return s.write(ctx, durable, func(tx *tx) error {
		if err := s.checkAlone(tx); err != nil {
			return err
		}
		_, err := tx.exec("INSERT INTO moved (id, target, at, owner) VALUES (1, ?, ?, ?) ON CONFLICT DO NOTHING", target, time.Now(), s.owner)
		return err
	})
}

// checkAlone returns an error if other stores have the file open.
func (s *Store) checkAlone(tx *tx) error {
	others := 0
	err := tx.query(func(r row) bool { others = r.ColumnInt(0); return false }, "SELECT count(*) FROM owners WHERE id <> ?", s.owner)
	if err == nil && others > 0 {
		err = s.file.refuse("other processes have it open (%d); stop the services that use it", others)
	}
	return err
}

// EndMove marks the file's data as moved to the target: Open refuses the file from now on, unless
// Options.Moved is set. BeginMove comes first.
func (s *Store) EndMove(ctx context.Context, target string) (err error) {
	defer describe(&err, "mark the file as moved")
	return s.write(ctx, durable, func(tx *tx) error {
		ended, err := tx.exec("UPDATE moved SET target = ?1, at = ?2, owner = NULL WHERE owner = ?3 OR owner IS NULL", target, time.Now(), s.owner)
		if err == nil && ended == 0 {
			err = errors.New("no move has begun")
		}
		return err
	})
}

// UndoMove lets stores open the file again. It returns to where the data was moved.
//
// ErrNotFound is returned when the data was not moved, and another error when other
// stores have the file open: one of them may be moving it again.
func (s *Store) UndoMove(ctx context.Context) (target string, err error) {
	defer describe(&err, "undo the move")
	if err := s.freeDeadOwners(ctx); err != nil {
		return "", err
	}
	err = s.write(ctx, durable, func(tx *tx) error {
		if err := s.checkAlone(tx); err != nil {
			return err
		}
		var fault error = ports.ErrNotFound
		err := tx.query(func(r row) bool { target, fault = r.ColumnText(0), nil; return true }, "DELETE FROM moved WHERE owner IS NULL RETURNING target")
		if err == nil {
			err = fault
		}
		return err
	})
	return target, err
}

// checkMoved returns an error if the file's data was moved, or another process is moving
// it. This store is an owner already, so that BeginMove sees it.
func (s *Store) checkMoved(ctx context.Context) (err error) {
	readErr := s.read(ctx, func(tx *tx) error {
		err = nil
		return tx.query(func(r row) bool {
			target, at, over := r.ColumnText(0), r.time(1).Format(time.DateTime), r.time(2).IsZero()
			switch {
			case !over:
				err = s.file.refuse("another process is moving its data to %s; wait for it", target)
			case !s.options.Moved:
				err = s.file.refuse("its data was moved to %s on %s UTC; use that store, or undo the move (orderflow move --undo) to go on here", target, at)
			}
			return false
		}, "SELECT target, at, owner FROM moved WHERE owner IS NOT ?", s.owner)
	})
	if readErr != nil {
		return readErr
	}
	return err
}

// Waiting returns those of the events that are in the outbox, claimed or not.
func (o *Orders) Waiting(ctx context.Context, ids ...domain.EventID) (waiting []domain.EventID, err error) {
	defer describe(&err, "find %d events in the outbox", len(ids))
	err = o.store.read(ctx, func(tx *tx) error {
		waiting = nil
		for _, id := range ids {
			order, _ := id.OrderID()
			err := tx.query(func(row) bool { waiting = append(waiting, id); return false }, "SELECT 1 FROM outbox WHERE order_id = ?", string(order))
			if err != nil {
				return err
			}
		}
		return nil
	})
	return waiting, err
}

// ClaimWaiting claims the notification with this key if it waits, whenever its next try
// is.
//
// ErrNotFound is returned when it does not wait, or another caller holds its claim.
func (d *Deliveries) ClaimWaiting(ctx context.Context, key domain.NotificationKey) (_ ports.DeliveryClaim, err error) {
	defer describe(&err, "claim waiting delivery of %s", deliveryID(key))
	claimed, err := d.claimWaiting(ctx, 1, func() filter {
		var one filter
		one.add("event_id = ? AND channel = ? AND recipient = ? AND next_try IS NOT NULL", keyArgs(key)...)
		return one
	}, "at")
	switch {
	case err != nil:
		return nil, err
	case len(claimed) == 0:
		return nil, ports.ErrNotFound
	}
	return claimed[0].Claim, nil
}

// Import stores the record as it is, with its state and all its failures, in place of the
// record before, as Get returned it. If that has no ID, none is stored yet.
//
// ErrChanged is returned when the stored record is another one than before. An error marked
// by [ports.Permanent] is returned when the record is too large.
func (d *DeadLetters) Import(ctx context.Context, before, record ports.DeadLetterRecord) (err error) {
	defer describe(&err, "import dead letter %s", record.ID)
	properties, err := encodeProperties(record.Message)
	if err != nil {
		return err
	}
	if size := len(properties) + len(record.Message.Body); size > maxMessage {
		return ports.Permanent(fmt.Errorf("it takes %d bytes, the limit is %d", size, maxMessage))
	}
	failures, err := encodeFailures(record.Failures)
	if err != nil {
		return err
	}
	return d.store.write(ctx, durable, func(tx *tx) error {
		now, err := readOne(tx, readRecord, selectRecords+" WHERE id = ? AND "+retained, record.ID, d.forgotten())
		switch {
		case errors.Is(err, ports.ErrNotFound):
			now, err = ports.DeadLetterRecord{}, nil
		case errors.As(err, new(*ports.UnreadableError)):
			return ports.Permanent(err)
		}
		if err != nil {
			return err
		}
		if now.ID != before.ID || !isUnchanged(now, before) {
			return ports.ErrChanged
		}
		_, err = tx.exec("INSERT OR REPLACE INTO dead_letters (id, subscription, message_id, state, since, settled_at, settled_by, event_type, user_id, reason_group, failures, properties, body)"+
			" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", record.ID, record.Subscription, record.Message.ID, string(record.State), record.Since.UnixMilli(),
			record.SettledAt, record.SettledBy, record.EventType, record.UserID, ports.ReasonGroup(record.LatestFailure().Reason), failures, properties, record.Message.Body)
		if err == nil {
			tx.countLetter(now.State, now.ID, now.Subscription, -1)
			tx.countLetter(record.State, record.ID, record.Subscription, 1)
		}
		return err
	})
}
