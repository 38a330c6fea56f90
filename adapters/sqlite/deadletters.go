package sqlite

import (
	"context"
	"errors"

	"example.com/orderflow/ports"
)

// DeadLetters keeps dead letters.
type DeadLetters struct{ store *Store }

var _ ports.DeadLetters = (*DeadLetters)(nil)

// DeadLetters returns the part.
func (s *Store) DeadLetters() *DeadLetters { return &s.parts.deadLetters }

func (*DeadLetters) Put(context.Context, ports.DeadLetter) error { return errors.ErrUnsupported }

func (*DeadLetters) Get(context.Context, string) (ports.DeadLetterRecord, error) {
	return ports.DeadLetterRecord{}, errors.ErrUnsupported
}

func (*DeadLetters) List(context.Context, ports.DeadLetterQuery) (ports.DeadLetterPage, error) {
	return ports.DeadLetterPage{}, errors.ErrUnsupported
}

func (*DeadLetters) Settle(context.Context, ports.DeadLetterRecord, ports.DeadLetterState, string) error {
	return errors.ErrUnsupported
}

func (*DeadLetters) Forget(context.Context, string) (int, error) { return 0, errors.ErrUnsupported }
