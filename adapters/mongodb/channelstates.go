package mongodb

import (
	"context"
	"errors"

	"example.com/orderflow/ports"
)

// ChannelStates keeps the notifiers' channels and their pauses.
type ChannelStates struct{ store *Store }

var _ ports.ChannelStates = (*ChannelStates)(nil)

func (c *ChannelStates) Register(ctx context.Context, names ...string) ([]string, error) {
	return nil, errors.ErrUnsupported
}

func (c *ChannelStates) Forget(ctx context.Context, name string) error { return errors.ErrUnsupported }

func (c *ChannelStates) Pauses(ctx context.Context) ([]ports.Pause, error) {
	return nil, errors.ErrUnsupported
}

func (c *ChannelStates) Pause(ctx context.Context, pause ports.Pause) error {
	return errors.ErrUnsupported
}

func (c *ChannelStates) Change(ctx context.Context, before, after ports.Pause) error {
	return errors.ErrUnsupported
}

func (c *ChannelStates) End(ctx context.Context, before ports.Pause) error {
	return errors.ErrUnsupported
}

// ChannelStates returns the channels and their pauses.
func (s *Store) ChannelStates() *ChannelStates { return &s.parts.states }
