package main

import (
	"context"

	"example.com/orderflow/adapters/sqlite"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// letterQueue is the store's queue of dead letters.
type letterQueue struct {
	sqlite.DeadLetterQueue
	trap *trap
}

func (q letterQueue) Drain(ctx context.Context, keep func(context.Context, ports.DeadLetter) error) error {
	return q.DeadLetterQueue.Drain(ctx, func(ctx context.Context, letter ports.DeadLetter) error {
		done := q.trap.call("Keep a letter")
		err := keep(ctx, letter)
		done(err == nil)
		q.trap.call("Acknowledge a letter") // which follows at once
		return err
	})
}

func (q letterQueue) SetAside(ctx context.Context, subscription string, event domain.Event, failure ports.Failure) error {
	done := q.trap.call("SetAside")
	err := q.DeadLetterQueue.SetAside(ctx, subscription, event, failure)
	done(err == nil)
	return err
}

func (q letterQueue) Replay(ctx context.Context, letter ports.DeadLetter) error {
	done := q.trap.call("Replay")
	err := q.DeadLetterQueue.Replay(ctx, letter)
	done(err == nil)
	return err
}

// letters are the store's.
type letters struct {
	*sqlite.DeadLetters
	trap *trap
}

func (l letters) Put(ctx context.Context, letter ports.DeadLetter) error {
	done := l.trap.call("Put a letter")
	err := l.DeadLetters.Put(ctx, letter)
	done(err == nil)
	return err
}

func (l letters) Settle(ctx context.Context, record ports.DeadLetterRecord, state ports.DeadLetterState, by string) error {
	done := l.trap.call("Settle a letter")
	err := l.DeadLetters.Settle(ctx, record, state, by)
	done(err == nil)
	return err
}
