package porttest_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

// replaying makes a broker with another Replay.
func replaying(replay func(b *faultyBroker, ctx context.Context, letter ports.DeadLetter) error) func() porttest.DeadLetterQueue {
	return faultyQueue(func(b *faultyBroker) {
		b.replay = func(ctx context.Context, letter ports.DeadLetter) error { return replay(b, ctx, letter) }
	})
}

// replayingAs makes a broker whose Replay changes the message.
func replayingAs(change func(m *ports.Message)) func() porttest.DeadLetterQueue {
	return replaying(func(b *faultyBroker, ctx context.Context, letter ports.DeadLetter) error {
		change(&letter.Message)
		return b.DeadLetterQueue().Replay(ctx, letter)
	})
}

func brokenReplays() []broken[porttest.DeadLetterQueue] {
	const (
		fields     = "a replayed event is delivered at the first attempt, with every field as it was, and is not a dead letter any more"
		failsAgain = "a replayed event that fails again is the same dead letter with a later failure"
		strange    = "a message that is not an event is drained unchanged, and is the same dead letter after its replay"
		properties = "a replayed message keeps every property, whether it is an event or not"
		ended      = "Replay with an ended context returns its error, and puts nothing back"
		memory     = "Drain and Replay share no memory with their caller"
		every      = "every clause that replays"
	)
	var table []broken[porttest.DeadLetterQueue]
	for property, lose := range propertiesOfMessages {
		also := ""
		if property == "content type" || property == "timestamp" {
			also = "every clause that replays an event, which has it"
		}
		table = append(table, broken[porttest.DeadLetterQueue]{"Replay loses the " + property, properties, also, replayingAs(lose)})
	}
	return append(table, []broken[porttest.DeadLetterQueue]{
		{"Replay does nothing", fields, every, replaying(func(_ *faultyBroker, ctx context.Context, _ ports.DeadLetter) error {
			return ctx.Err()
		})},
		{"Replay replays twice", fields, every, replaying(func(b *faultyBroker, ctx context.Context, letter ports.DeadLetter) error {
			return errors.Join(b.DeadLetterQueue().Replay(ctx, letter), b.DeadLetterQueue().Replay(ctx, letter))
		})},
		{"a replayed event keeps its attempts", fields, "the clause of the later failure counts attempts", faultyQueue(func(b *faultyBroker) {
			var drained, before shared[domain.EventID, int] // attempts
			b.drain.change(func(letter *ports.DeadLetter) { drained.set(domain.EventID(letter.ID), letter.Failure.Attempts) })
			b.replay = func(ctx context.Context, letter ports.DeadLetter) error {
				attempts, _ := drained.get(domain.EventID(letter.ID))
				before.set(domain.EventID(letter.ID), attempts)
				return b.DeadLetterQueue().Replay(ctx, letter)
			}
			b.consume.change(func(d *ports.Delivery) {
				n, _ := before.get(d.Event.ID)
				d.Attempt += n
			})
		})},
		{"a replayed event stays a dead letter", fields, every, faultyQueue(func(b *faultyBroker) {
			replayed := make(chan ports.DeadLetter, 100)
			b.drain.call = func(ctx context.Context, h handle[ports.DeadLetter]) error {
				var again sync.WaitGroup
				defer again.Wait()
				again.Go(func() {
					for {
						select {
						case letter := <-replayed:
							h(ctx, letter)
						case <-ctx.Done():
							return
						}
					}
				})
				return b.DeadLetterQueue().Drain(ctx, h)
			}
			b.replay = func(ctx context.Context, letter ports.DeadLetter) error {
				err := b.DeadLetterQueue().Replay(ctx, letter)
				if err == nil {
					replayed <- letter
				}
				return err
			}
		})},
		{"Replay ignores its context", ended, "", faultyQueue(func(b *faultyBroker) { ignoreContext(&b.replay) })},
		{"Replay replays and then fails on an ended context", ended, "", faultyQueue(func(b *faultyBroker) { checkContextLast(&b.replay) })},
		{"Replay makes valid text of the body", strange, "", replayingAs(func(m *ports.Message) {
			m.Body = bytes.ToValidUTF8(m.Body, []byte("?"))
		})},
		{"Replay gives the message another id", failsAgain, "every clause that looks at a replayed message", replayingAs(func(m *ports.Message) {
			m.ID += "-replayed"
		})},
		{"a replayed event fails again at the same time as before", failsAgain, "a letter of SetAside has the failure of the one before", draining(func(p *pulls[ports.DeadLetter]) {
			var first shared[string, ports.Failure]
			p.change(func(letter *ports.DeadLetter) { letter.Failure, _ = first.once(letter.ID, letter.Failure) })
		})},
		{"Drain hands over its own memory", memory, "", draining(func(p *pulls[ports.DeadLetter]) {
			var own shared[string, ports.DeadLetter]
			p.change(func(letter *ports.DeadLetter) {
				same, _ := own.once(letter.ID, *letter)
				letter.Message.Body, letter.Message.Headers = same.Message.Body, same.Message.Headers
			})
		})},
		{"Replay keeps the letter for a while", memory, "it learns too late that a queue does not exist", replaying(func(b *faultyBroker, ctx context.Context, letter ports.DeadLetter) error {
			if ctx.Err() == nil {
				time.AfterFunc(10*time.Millisecond, func() { b.DeadLetterQueue().Replay(context.WithoutCancel(ctx), letter) })
			}
			return ctx.Err()
		})},
	}...)
}
