package sqlite

import (
	"context"
	"errors"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// Deliveries is the log of the notifications, and keeps those that wait.
type Deliveries struct{ store *Store }

var _ ports.DeliveryLog = (*Deliveries)(nil)

// Deliveries returns the part.
func (s *Store) Deliveries() *Deliveries { return &s.parts.deliveries }

func (*Deliveries) Claim(context.Context, domain.NotificationKey) (ports.DeliveryClaim, error) {
	return nil, errors.ErrUnsupported
}

func (*Deliveries) ClaimDue(context.Context, string, int) ([]ports.WaitingDelivery, error) {
	return nil, errors.ErrUnsupported
}

func (*Deliveries) ClaimHeld(context.Context, domain.PauseKey, int) ([]ports.WaitingDelivery, error) {
	return nil, errors.ErrUnsupported
}

func (d *Deliveries) ClaimLease() time.Duration { return d.store.options.DeliveryLease }

func (*Deliveries) List(context.Context, ports.NotificationQuery) (ports.NotificationPage, error) {
	return ports.NotificationPage{}, errors.ErrUnsupported
}

func (*Deliveries) Forget(context.Context, string) (int, error) { return 0, errors.ErrUnsupported }

func (*Deliveries) Expire(context.Context, time.Time, int) (int, error) {
	return 0, errors.ErrUnsupported
}
