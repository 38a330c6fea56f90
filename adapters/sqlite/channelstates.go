package sqlite

import (
	"context"
	"errors"

	"example.com/orderflow/ports"
)

// ChannelStates keeps channels and their pauses.
type ChannelStates struct{ store *Store }

var _ ports.ChannelStates = (*ChannelStates)(nil)

// ChannelStates returns the part.
func (s *Store) ChannelStates() *ChannelStates { return &s.parts.states }

func (*ChannelStates) Register(context.Context, ...string) ([]string, error) {
	return nil, errors.ErrUnsupported
}

func (*ChannelStates) Forget(context.Context, string) error { return errors.ErrUnsupported }

func (*ChannelStates) Pauses(context.Context) ([]ports.Pause, error) {
	return nil, errors.ErrUnsupported
}

func (*ChannelStates) Pause(context.Context, ports.Pause) error { return errors.ErrUnsupported }

func (*ChannelStates) Change(context.Context, ports.Pause, ports.Pause) error {
	return errors.ErrUnsupported
}

func (*ChannelStates) End(context.Context, ports.Pause) error { return errors.ErrUnsupported }
