package sqlite

import (
	"context"
	"errors"

	"example.com/orderflow/ports"
)

// Consumer takes events from one queue.
type Consumer struct {
	store        *Store
	subscription string
}

var _ ports.EventQueue = Consumer{}

// Consumer returns the part.
func (s *Store) Consumer() Consumer { return Consumer{s, ""} }

// Subscription returns the part.
func (s *Store) Subscription(name string) Consumer { return Consumer{s, name} }

func (Consumer) Consume(context.Context, ports.Handler) error { return errors.ErrUnsupported }

func (Consumer) Ping(context.Context) error { return errors.ErrUnsupported }

func (Consumer) Waiting(context.Context) (int, error) { return 0, errors.ErrUnsupported }
