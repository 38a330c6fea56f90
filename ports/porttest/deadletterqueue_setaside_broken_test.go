package porttest_test

import (
	"context"
	"errors"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

func draining(breakIt func(p *pulls[ports.DeadLetter])) func() porttest.DeadLetterQueue {
	return faultyQueue(func(b *faultyBroker) { breakIt(&b.drain) })
}

// showing makes a broker whose Drain hands over changed letters.
func showing(change func(letter *ports.DeadLetter)) func() porttest.DeadLetterQueue {
	return draining(func(p *pulls[ports.DeadLetter]) { p.change(change) })
}

// failing makes a broker whose Drain hands over changed failures.
func failing(change func(failure *ports.Failure)) func() porttest.DeadLetterQueue {
	return showing(func(letter *ports.DeadLetter) { change(&letter.Failure) })
}

// judging makes a broker whose consumers get another error than the handler's.
func judging(change func(d ports.Delivery, err error) error) func() porttest.DeadLetterQueue {
	return faultyQueue(func(b *faultyBroker) { b.consume.answer(change) })
}

func isEvent(letter ports.DeadLetter) bool {
	_, ok := domain.EventID(letter.ID).OrderID()
	return ok
}

// brokenSetAsides returns brokers that set the wrong events aside or report the
// wrong failures.
func brokenSetAsides() []broken[porttest.DeadLetterQueue] {
	const (
		last       = "an event becomes a dead letter after its last attempt, with attempts and reason"
		rejected   = "a rejected event becomes a dead letter at once, with attempts and reason"
		panics     = "an event whose handler panics becomes a dead letter, with attempts and reason"
		strange    = "a message that is not an event becomes one dead letter, with attempts and reason"
		handled    = "an event that is handled in the end, or that Publish refuses, does not become a dead letter"
		everyone   = "every clause that sets events aside"
		outermost  = "the clause of the fields wraps its error too"
		unnoticed  = "other clauses inject messages that are not events"
		everyFault = "every clause that looks at attempts or reasons"
	)
	return []broken[porttest.DeadLetterQueue]{
		{"a failing event is lost after its last attempt", last, "", judging(func(d ports.Delivery, err error) error {
			if d.Attempt == 4 && !ports.IsPermanent(err) && !ports.IsPostponed(err) {
				return nil
			}
			return err
		})},
		{"a failing event has one attempt too few", last, "", faultyQueue(func(b *faultyBroker) { b.Delays = b.Delays[:2] })},

		{"a rejected event is lost", rejected, everyone, judging(func(_ ports.Delivery, err error) error {
			if ports.IsPermanent(err) {
				return nil
			}
			return err
		})},
		{"a rejected event comes again before it is set aside", rejected, everyone, judging(func(_ ports.Delivery, err error) error {
			if ports.IsPermanent(err) {
				return errors.New("not permanent")
			}
			return err
		})},
		{"an event is rejected by the outermost error alone", rejected, outermost, judging(func(_ ports.Delivery, err error) error {
			if ports.IsPermanent(errors.Unwrap(err)) {
				return errors.New(err.Error())
			}
			return err
		})},
		{"an event whose handler panics is lost", panics, "", faultyQueue(func(b *faultyBroker) { b.consume.recovering(nil) })},

		{"a message that is not an event is lost", strange, unnoticed, faultyQueue(func(b *faultyBroker) {
			b.drain.wrap(func(_ context.Context, h handle[ports.DeadLetter]) handle[ports.DeadLetter] {
				return func(ctx context.Context, letter ports.DeadLetter) error {
					if isEvent(letter) {
						return h(ctx, letter)
					}
					return nil
				}
			})
		})},
		{"a message that is not an event ends the consumer", strange, unnoticed, faultyQueue(endedByInject)},

		{"a postponed event becomes a dead letter", handled, "", judging(func(_ ports.Delivery, err error) error {
			if ports.IsPostponed(err) {
				return ports.Permanent(errors.New("postponed"))
			}
			return err
		})},
		{"a failed event becomes a dead letter at its second failure", handled, "events fail twice in other clauses", judging(func(d ports.Delivery, err error) error {
			if d.Attempt == 2 && err != nil {
				return ports.Permanent(err)
			}
			return err
		})},
		{"dead letters have one attempt", last, everyFault, failing(func(f *ports.Failure) { f.Attempts = 1 })},

		{"dead letters have no reason", last, everyFault, failing(func(f *ports.Failure) { f.Reason = "" })},
		{"all dead letters have the same reason", last, everyFault, failing(func(f *ports.Failure) { f.Reason = "rejected" })},
	}
}

// brokenLetters returns brokers that drain dead letters wrongly.
func brokenLetters() []broken[porttest.DeadLetterQueue] {
	const fields = "Drain hands over a dead letter once, with its id, reason, attempts and times"
	var table []broken[porttest.DeadLetterQueue]
	times := map[string]func(f *ports.Failure){
		"the first failure has the time of the last": func(f *ports.Failure) { f.FirstFailure = f.LastFailure },
		"the last failure has the time of the first": func(f *ports.Failure) { f.LastFailure = f.FirstFailure },
		"failures have the time of the drain":        func(f *ports.Failure) { f.LastFailure = time.Now().UTC().Truncate(time.Millisecond) },
		"failures have times to the second":          func(f *ports.Failure) { f.LastFailure = f.LastFailure.Truncate(time.Second) },
		"failures have times to the microsecond":     func(f *ports.Failure) { f.LastFailure = f.LastFailure.Add(time.Microsecond) },
		"failures have times in local time":          func(f *ports.Failure) { f.FirstFailure = f.FirstFailure.In(time.FixedZone("CET", 3600)) },
	}
	for fault, change := range times {
		table = append(table, broken[porttest.DeadLetterQueue]{fault, fields, "the clauses of SetAside, and others, compare the times too", failing(change)})
	}
	return append(table, []broken[porttest.DeadLetterQueue]{
		{"dead letters are drained twice", fields, "every clause that drains", draining(func(p *pulls[ports.DeadLetter]) {
			p.wrap(func(_ context.Context, h handle[ports.DeadLetter]) handle[ports.DeadLetter] {
				return func(ctx context.Context, letter ports.DeadLetter) error {
					return errors.Join(h(ctx, letter), h(ctx, letter))
				}
			})
		})},
	}...)
}
