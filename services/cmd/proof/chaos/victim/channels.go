package main

import (
	"context"
	"errors"
	"log/slog"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/cmd/proof/harness"
)

// channel has the trap around Send.
type channel struct {
	ports.Channel
	trap *trap
}

func (c channel) Send(ctx context.Context, message ports.Outgoing) (ports.Answer, error) {
	return send(ctx, c.trap, c.Channel, message)
}

// addressed is a channel with addresses.
type addressed struct {
	ports.AddressedChannel
	trap *trap
}

func (c addressed) Send(ctx context.Context, message ports.Outgoing) (ports.Answer, error) {
	return send(ctx, c.trap, c.AddressedChannel, message)
}

func send(ctx context.Context, trap *trap, c ports.Channel, message ports.Outgoing) (ports.Answer, error) {
	done := trap.call("Send")
	answer, err := c.Send(ctx, message)
	done(err == nil)
	return answer, err
}

// picky refuses the notifications of some orders, and logs the others.
type picky struct{ log *slog.Logger }

func (picky) Name() string { return harness.Picky }

func (p picky) Send(_ context.Context, message ports.Outgoing) (ports.Answer, error) {
	switch mood := harness.MoodOf(message.Event.Order.ID); {
	case mood == harness.Rejects, mood == harness.RejectsAt2 && message.Attempt > 1:
		return ports.Answer{}, ports.Permanent(errors.New("rejected for good"))
	case (mood == harness.RejectsAt2 || mood == harness.AcceptsAt2) && message.Attempt == 1:
		return ports.Answer{}, errors.New("refused at first")
	}
	p.log.Info(harness.PickySent, "event_id", string(message.Event.ID))
	return ports.Answer{}, nil
}
