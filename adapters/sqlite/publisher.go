package sqlite

import (
	"context"
	"errors"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// Publisher puts events into the queues.
type Publisher struct{ store *Store }

var _ ports.EventPublisher = Publisher{}

// Publisher returns the part.
func (s *Store) Publisher() Publisher { return Publisher{s} }

func (Publisher) Publish(_ context.Context, events ...domain.Event) []error {
	errs := make([]error, len(events))
	for i := range errs {
		errs[i] = errors.ErrUnsupported
	}
	return errs
}

func (p Publisher) Ping(ctx context.Context) error { return p.store.Ping(ctx) }
