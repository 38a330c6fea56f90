package sqlite

import (
	"context"

	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// Publisher puts events into the queues.
type Publisher struct{ store *Store }

var (
	_ ports.EventPublisher = Publisher{}
	_ ports.Pinger         = Publisher{}
)

// Publisher returns the publisher.
func (s *Store) Publisher() Publisher { return Publisher{s} }

// Ping returns nil if the file can be written.
func (p Publisher) Ping(ctx context.Context) error { return p.store.Ping(ctx) }

// System returns the product's name in traces.
func (p Publisher) System() string { return "sqlite" }

// Publish puts a copy of each event into each queue. See [ports.EventPublisher].
func (p Publisher) Publish(ctx context.Context, events ...domain.Event) []error {
	errs := make([]error, len(events))
	messages := make([]message, len(events))
	for i, event := range events {
		m, err := wire.Encode(event)
		if err == nil {
			messages[i], err = newMessage(m)
		}
		errs[i] = err
	}
	err := p.store.write(ctx, durable, func(tx *tx) error {
		for i, m := range messages {
			if errs[i] != nil {
				continue
			}
			if err := tx.putIntoAll(m); err != nil {
				return err
			}
		}
		tx.after = append(tx.after, p.store.bells.ringAll)
		return nil
	})
	for i, event := range events {
		if errs[i] == nil {
			errs[i] = err
		}
		describe(&errs[i], "publish event %s", event.ID)
	}
	return errs
}
