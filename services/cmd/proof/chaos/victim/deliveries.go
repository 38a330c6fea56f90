package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"

	"example.com/orderflow/adapters/sqlite"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/cmd/proof/harness"
)

// deliveries are the store's. They log what has been recorded.
type deliveries struct {
	*sqlite.Deliveries
	trap   *trap
	log    *slog.Logger
	claims *atomic.Int64 // by operators
}

// Claim says of some notifications to the operator that they are claimed, if the trap
// waits for the release of the user's.
func (d deliveries) Claim(ctx context.Context, key domain.NotificationKey) (ports.DeliveryClaim, error) {
	const every = 20
	if d.trap.is("Release a claim") && key.Recipient == harness.Operator && d.claims.Add(1)%every == 0 {
		return nil, fmt.Errorf("%w, so that the other claim is released", ports.ErrClaimed)
	}
	done := d.trap.call("Claim")
	c, err := d.Deliveries.Claim(ctx, key)
	done(err == nil)
	if err != nil {
		return nil, err
	}
	return claim{c, d}, nil
}

func (d deliveries) ClaimDue(ctx context.Context, channel string, limit int) ([]ports.WaitingDelivery, error) {
	done := d.trap.call("ClaimDue")
	due, err := d.Deliveries.ClaimDue(ctx, channel, limit)
	done(len(due) > 0)
	return d.wrap(due), err
}

func (d deliveries) ClaimHeld(ctx context.Context, by domain.PauseKey, limit int) ([]ports.WaitingDelivery, error) {
	done := d.trap.call("ClaimHeld")
	held, err := d.Deliveries.ClaimHeld(ctx, by, limit)
	done(len(held) > 0)
	return d.wrap(held), err
}

func (d deliveries) wrap(waiting []ports.WaitingDelivery) []ports.WaitingDelivery {
	for i := range waiting {
		waiting[i].Claim = claim{waiting[i].Claim, d}
	}
	return waiting
}

type claim struct {
	ports.DeliveryClaim
	deliveries deliveries
}

func (c claim) Record(ctx context.Context, n domain.Notification, event domain.Event) error {
	method := "Record"
	if n.State.Waits() {
		method = "Record a waiting one"
	}
	done := c.deliveries.trap.call(method)
	err := c.DeliveryClaim.Record(ctx, n, event)
	if err == nil && n.State == domain.Sent {
		c.deliveries.log.Info(harness.Recorded, "notification", string(n.EventID)+"."+n.Channel+"."+n.Recipient)
	}
	done(err == nil)
	return err
}

func (c claim) Release(ctx context.Context) error {
	done := c.deliveries.trap.call("Release a claim")
	err := c.DeliveryClaim.Release(ctx)
	done(err == nil)
	return err
}

// states are the store's.
type states struct {
	*sqlite.ChannelStates
	trap *trap
}

func (s states) Pause(ctx context.Context, pause ports.Pause) error {
	done := s.trap.call("Pause")
	err := s.ChannelStates.Pause(ctx, pause)
	done(err == nil)
	return err
}

func (s states) Change(ctx context.Context, before, after ports.Pause) error {
	done := s.trap.call("Change a pause")
	err := s.ChannelStates.Change(ctx, before, after)
	done(err == nil)
	return err
}

func (s states) End(ctx context.Context, before ports.Pause) error {
	done := s.trap.call("End a pause")
	err := s.ChannelStates.End(ctx, before)
	done(err == nil)
	return err
}
