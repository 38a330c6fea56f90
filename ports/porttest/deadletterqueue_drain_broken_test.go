package porttest_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

func brokenDrains() []broken[porttest.DeadLetterQueue] {
	const (
		again  = "Drain hands over the same dead letter again until its handler accepts it"
		panics = "Drain hands over a dead letter again when its handler panics, and continues"
		later  = "other clauses accept a letter later"
	)
	return append(append(brokenLetters(), brokenPulls("Drain", "dead letters", draining)...), []broken[porttest.DeadLetterQueue]{
		{"a message that is not an event is known by its body", "Drain gives two equal messages of other senders two ids", "other clauses inject messages that are not events", showing(func(letter *ports.DeadLetter) {
			if !isEvent(*letter) {
				letter.ID = fmt.Sprintf("%x", letter.Message.Body)
			}
		})},
		{"other letters wait for one that is not accepted", "Drain hands over other dead letters while its handler refuses many", later, draining(func(p *pulls[ports.DeadLetter]) {
			p.wrap(func(call context.Context, h handle[ports.DeadLetter]) handle[ports.DeadLetter] {
				return func(ctx context.Context, letter ports.DeadLetter) error {
					for {
						err := h(ctx, letter)
						if err == nil {
							return nil
						}
						select {
						case <-time.After(time.Second):
						case <-call.Done():
							return err
						}
					}
				}
			})
		})},
		{"a letter that is not accepted is lost", again, later, draining(func(p *pulls[ports.DeadLetter]) {
			p.answer(func(ports.DeadLetter, error) error { return nil })
		})},
		{"a letter that is not accepted comes again once", again, "", draining(func(p *pulls[ports.DeadLetter]) {
			var failed shared[string, bool]
			p.answer(func(letter ports.DeadLetter, err error) error {
				if _, again := failed.once(letter.ID, true); again {
					return nil
				}
				return err
			})
		})},
		{"a letter whose handler panics is lost", panics, "", draining(func(p *pulls[ports.DeadLetter]) { p.recovering(nil) })},

		{"a handler's panic leaves Drain", panics, "", draining((*pulls[ports.DeadLetter]).panicking)},
		{"letters count how often they were drained", again, "replayed letters are drained again", draining(func(p *pulls[ports.DeadLetter]) {
			var times atomic.Int64
			p.change(func(letter *ports.DeadLetter) {
				if letter.Message.Headers == nil {
					letter.Message.Headers = map[string]string{}
				}
				letter.Message.Headers["times"] = fmt.Sprint(times.Add(1))
			})
		})},
	}...)
}
