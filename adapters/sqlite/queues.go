package sqlite

import (
	"context"
	"fmt"
	"sync"

	"example.com/orderflow/ports"
)

// message is a message as a queue keeps it.
type message struct {
	id         int64
	properties string // as encodeProperties returns them
	body       []byte
}

func newMessage(m ports.Message) (message, error) {
	properties, err := encodeProperties(m)
	return message{properties: properties, body: m.Body}, err
}

// allQueues selects the names of the queues. The main queue always exists.
const allQueues = "(SELECT '' AS name UNION ALL SELECT name FROM subscriptions)"

const insertMessages = "INSERT INTO messages (subscription, properties, body, attempt, due) SELECT name, ?1, ?2, 1, 0 FROM " + allQueues

// putIntoAll puts a copy of the message into each queue.
func (t *tx) putIntoAll(m message) error {
	_, err := t.exec(insertMessages, m.properties, m.body)
	return err
}

// put puts the message into one queue.
func (t *tx) put(subscription string, m message) error {
	added, err := t.exec(insertMessages+" WHERE name = ?3", m.properties, m.body, subscription)
	if err == nil && added == 0 {
		err = fmt.Errorf("%w: the queue of subscription %q does not exist", ports.ErrUnavailable, subscription)
	}
	return err
}

// persistDeclare makes the subscription's queue if it does not exist. It waits while the
// file can't be used.
func (s *Store) persistDeclare(ctx context.Context, o *outage, subscription string) error {
	exists, err := s.hasQueue(ctx, subscription)
	if err == nil && exists {
		return nil
	}
	return s.persist(ctx, o, durable, func(tx *tx) error {
		_, err := tx.declare(subscription)
		return err
	})
}

// declare makes the subscription's queue if it does not exist.
func (t *tx) declare(subscription string) (made int, err error) {
	return t.exec("INSERT INTO subscriptions (name) SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM "+allQueues+" WHERE name = ?1)", subscription)
}

// hasQueue reports whether the subscription's queue exists.
func (s *Store) hasQueue(ctx context.Context, subscription string) (found bool, err error) {
	err = s.read(ctx, func(tx *tx) error {
		return tx.query(func(row) bool { found = true; return false }, "SELECT 1 FROM "+allQueues+" WHERE name = ?", subscription)
	})
	return found, err
}

// consuming counts the calls of Consume and Drain, by their queue.
type consuming struct {
	mu    sync.Mutex
	calls map[string]int
}

// add counts a call until the returned function is called.
func (c *consuming) add(queue string) func() {
	change := func(n int) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.calls == nil {
			c.calls = make(map[string]int)
		}
		c.calls[queue] += n
	}
	change(1)
	return func() { change(-1) }
}

func (c *consuming) has(queue string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[queue] > 0
}

func (c *consuming) count(queue string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[queue]
}

// setAside puts the letter into the queue of dead letters.
func (t *tx) setAside(s *Store, letter ports.DeadLetter) error {
	m, err := newMessage(letter.Message)
	if err != nil {
		return err
	}
	reason, err := encodeFailures([]ports.Failure{letter.Failure})
	if err != nil {
		return err
	}
	_, err = t.exec("INSERT INTO dead_letter_queue (letter_id, subscription, properties, body, failures, due) VALUES (?, ?, ?, ?, ?, 0)",
		letter.ID, letter.Subscription, m.properties, m.body, reason)
	t.after = append(t.after, func() { s.bells.ring(deadLetters) })
	return err
}
