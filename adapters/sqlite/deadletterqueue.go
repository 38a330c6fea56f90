package sqlite

import (
	"context"
	"errors"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// DeadLetterQueue is the queue of dead letters that no store has kept yet.
type DeadLetterQueue struct{ store *Store }

var _ ports.DeadLetterQueue = DeadLetterQueue{}

// DeadLetterQueue returns the part.
func (s *Store) DeadLetterQueue() DeadLetterQueue { return DeadLetterQueue{s} }

func (DeadLetterQueue) Drain(context.Context, func(context.Context, ports.DeadLetter) error) error {
	return errors.ErrUnsupported
}

func (DeadLetterQueue) SetAside(context.Context, string, domain.Event, ports.Failure) error {
	return errors.ErrUnsupported
}

func (DeadLetterQueue) Replay(context.Context, ports.DeadLetter) error { return errors.ErrUnsupported }
