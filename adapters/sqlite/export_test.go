package sqlite

import (
	"context"

	"example.com/orderflow/ports"
)

// Inject puts a message with this body into the main queue, as another program may.
func (s *Store) Inject(ctx context.Context, body []byte) error {
	m, err := newMessage(ports.Message{Body: body})
	if err != nil {
		return err
	}
	return s.write(ctx, durable, func(tx *tx) error {
		tx.after = append(tx.after, s.bells.ringAll)
		return tx.put("", m)
	})
}
