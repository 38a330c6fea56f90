package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// The methods here are for moving the file's data to another store: what the ports don't
// show of it.

// Rows returns the number of rows of each table. It reads the whole file.
func (s *Store) Rows(ctx context.Context) (rows map[string]int, err error) {
	defer describe(&err, "count rows")
	err = s.read(ctx, func(tx *tx) (err error) {
		rows, err = tx.countRows()
		return err
	})
	return rows, err
}

// Event returns the event of a notification that waits.
//
// ErrNotFound is returned when the notification does not wait, and
// [*ports.UnreadableError] when it can't be read.
func (d *Deliveries) Event(ctx context.Context, key domain.NotificationKey) (event domain.Event, err error) {
	defer describe(&err, "get the event of %s", deliveryID(key))
	err = d.store.read(ctx, func(tx *tx) error {
		waiting, err := readOne(tx, readWaiting, "SELECT "+notificationColumns+", event FROM deliveries WHERE "+isDelivery+" AND event IS NOT NULL", keyArgs(key)...)
		event = waiting.Event
		return err
	})
	return event, err
}

// Unfinished returns the orders whose events are in the outbox or in a queue, with the
// events' origins.
func (s *Store) Unfinished(ctx context.Context) (orders map[domain.OrderID]domain.Origin, err error) {
	defer describe(&err, "find unfinished events")
	orders = make(map[domain.OrderID]domain.Origin)
	for last, more := "", true; more; {
		err := s.read(ctx, func(tx *tx) error {
			n := 0
			err := tx.query(func(r row) bool {
				n++
				last = r.ColumnText(0)
				orders[domain.OrderID(last)] = readOrigin(r, 1)
				return true
			}, "SELECT order_id, request_id, traceparent, tracestate FROM outbox WHERE order_id > ? ORDER BY order_id LIMIT ?", last, exportBatch)
			more = n == exportBatch
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	err = s.eachQueued(ctx, func(m queued) {
		if m.isKept {
			orders[m.event.Order.ID] = m.event.Origin
		}
	})
	return orders, err
}

// SetAsideForeign makes dead letters of the messages in the queues that are no events of
// kept orders: those that no consumer can read, and those of other programs. It returns
// their number. Nobody consumes the queues meanwhile.
func (s *Store) SetAsideForeign(ctx context.Context) (n int, err error) {
	defer describe(&err, "set foreign messages aside")
	var foreign []queued
	err = s.eachQueued(ctx, func(m queued) {
		if !m.isKept {
			m.body = nil // read again: all of them may be large
			foreign = append(foreign, m)
		}
	})
	for _, m := range foreign {
		if err == nil {
			err = s.write(ctx, durable, func(tx *tx) error { return tx.setAsideQueued(s, m) })
		}
		if err == nil {
			n++
		}
	}
	return n, err
}

func (t *tx) setAsideQueued(s *Store, m queued) error {
	var body []byte
	err := t.query(func(r row) bool { body = r.blob(0); return false }, "SELECT body FROM messages WHERE id = ?", m.id)
	if err != nil {
		return err
	}
	message, _ := decodeMessage(m.properties, body) // its body is kept in any case
	message.ID = cmp.Or(message.ID, wire.NewID())
	now := domain.TruncateTime(time.Now())
	removed, err := t.exec("DELETE FROM messages WHERE id = ?", m.id)
	if err != nil || removed == 0 {
		return err
	}
	return t.setAside(s, wire.DeadLetter(m.subscription, message, ports.Failure{
		Reason: m.fault.Error(), Attempts: m.attempt, FirstFailure: cmp.Or(m.firstFailure, now), LastFailure: now,
	}))
}

// KeepQueuedLetters stores the letters of the dead-letter queue, as a running service
// does. It returns an error for each letter that it can't store, which stays in the queue.
func (s *Store) KeepQueuedLetters(ctx context.Context) (faults []error, err error) {
	defer describe(&err, "keep queued dead letters")
	for last := int64(0); ; {
		var letter queuedLetter
		found := false
		err := s.read(ctx, func(tx *tx) error {
			return tx.query(func(r row) bool { letter, found = readQueued(r), true; return false },
				"SELECT id, letter_id, subscription, properties, body, failures FROM dead_letter_queue WHERE id > ? ORDER BY id", last)
		})
		if err != nil || !found {
			return faults, err
		}
		last = letter.id
		err = s.DeadLetters().Put(ctx, letter.letter)
		if ports.IsPermanent(err) {
			faults = append(faults, err)
			continue
		}
		if err == nil {
			err = s.write(ctx, durable, func(tx *tx) error {
				_, err := tx.exec("DELETE FROM dead_letter_queue WHERE id = ?", letter.id)
				return err
			})
		}
		if err != nil {
			return faults, err
		}
	}
}

// queued is a message in a queue.
type queued struct {
	message
	subscription string
	attempt      int
	firstFailure time.Time

	isKept bool         // it is the event of a kept order
	event  domain.Event // if isKept
	fault  error        // why it is not
}

// eachQueued reads this many messages in one transaction, or fewer if they are large.
const (
	exportBatch      = 1000
	exportBatchBytes = 16 << 20
)

func (s *Store) eachQueued(ctx context.Context, each func(queued)) error {
	for last, more := int64(0), true; more; {
		var batch []queued
		err := s.read(ctx, func(tx *tx) error {
			batch, more = nil, false
			size := 0
			err := tx.query(func(r row) bool {
				if more = len(batch) == exportBatch || size >= exportBatchBytes; more {
					return false
				}
				m := queued{
					message: message{r.ColumnInt64(0), r.ColumnText(2), r.blob(3)}, subscription: r.ColumnText(1),
					attempt: max(r.ColumnInt(4), 1), firstFailure: r.time(5),
				}
				size += len(m.body)
				batch = append(batch, m)
				return true
			}, "SELECT id, subscription, properties, body, attempt, first_failure FROM messages WHERE id > ? ORDER BY id", last)
			for i := range batch {
				if err == nil {
					err = tx.compareWithOrder(&batch[i])
				}
			}
			return err
		})
		if err != nil {
			return err
		}
		for _, m := range batch {
			last = m.id
			each(m)
		}
	}
	return nil
}

// compareWithOrder reports whether the message is the event of an order in the file.
func (t *tx) compareWithOrder(m *queued) error {
	message, err := decodeMessage(m.properties, m.body)
	if err == nil {
		m.event, err = wire.Decode(message)
	}
	if err != nil {
		m.fault = err
		return nil
	}
	order, err := readOne(t, readOrder, selectOrders+" WHERE id = ?", string(m.event.Order.ID))
	switch {
	case errors.Is(err, ports.ErrNotFound):
		m.fault = fmt.Errorf("its order is not in the file %s", t.file.path)
	case errors.As(err, new(*ports.UnreadableError)):
		m.fault = err
	case err != nil:
		return err
	case withOrigin(order, m.event.Origin) != m.event:
		m.fault = fmt.Errorf("its order is another one in the file %s", t.file.path)
	default:
		m.isKept = true
	}
	return nil
}
