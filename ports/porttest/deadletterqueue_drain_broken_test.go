package porttest_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

type (
	keepFunc   = func(ctx context.Context, letter ports.DeadLetter) error
	drainFunc  func(ctx context.Context, keep keepFunc) error
	replayFunc func(ctx context.Context, letter ports.DeadLetter) error
)

type deadLetterQueue struct {
	drain  drainFunc
	replay replayFunc
}

func (q deadLetterQueue) Drain(ctx context.Context, keep func(context.Context, ports.DeadLetter) error) error {
	return q.drain(ctx, keep)
}

func (q deadLetterQueue) Replay(ctx context.Context, letter ports.DeadLetter) error {
	return q.replay(ctx, letter)
}

// draining makes a broker with another Drain.
func draining(drain func(whole *memory.Broker) drainFunc) func() porttest.Broker {
	return broker(func(whole *memory.Broker, b *porttest.Broker) {
		broken := drain(whole)
		queue := deadLetterQueue{func(ctx context.Context, keep keepFunc) error {
			if keep == nil {
				return whole.DeadLetterQueue().Drain(ctx, nil)
			}
			return broken(ctx, keep)
		}, whole.DeadLetterQueue().Replay}
		b.DeadLetters = func() ports.DeadLetterQueue { return queue }
	})
}

// keeping makes a broker that puts something between itself and keep; ctx is
// the one that was given to Drain.
func keeping(between func(ctx context.Context, keep keepFunc) keepFunc) func() porttest.Broker {
	return draining(func(whole *memory.Broker) drainFunc {
		return func(ctx context.Context, keep keepFunc) error {
			return whole.DeadLetterQueue().Drain(ctx, between(ctx, keep))
		}
	})
}

// changed makes a Drain that tells something else of its dead letters.
func changed(change func(letter *ports.DeadLetter)) func(whole *memory.Broker) drainFunc {
	return func(whole *memory.Broker) drainFunc {
		return func(ctx context.Context, keep keepFunc) error {
			return whole.DeadLetterQueue().Drain(ctx, func(ctx context.Context, letter ports.DeadLetter) error {
				change(&letter)
				return keep(ctx, letter)
			})
		}
	}
}

func brokenDrains() []broken[porttest.Broker] {
	return append(brokenLetters(), []broken[porttest.Broker]{
		{name: "Drain returns its context's error if that has ended before", open: draining(func(whole *memory.Broker) drainFunc {
			return func(ctx context.Context, keep keepFunc) error {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				return whole.DeadLetterQueue().Drain(ctx, keep)
			}
		}), fails: []string{
			"Drain returns nil at once if its context has ended, and takes nothing",
		}},

		{name: "Drain waits without keep", open: broker(func(whole *memory.Broker, b *porttest.Broker) {
			b.DeadLetters = func() ports.DeadLetterQueue {
				return deadLetterQueue{func(ctx context.Context, keep keepFunc) error {
					return whole.DeadLetterQueue().Drain(ctx, func(ctx context.Context, letter ports.DeadLetter) error { return keep(ctx, letter) })
				}, whole.DeadLetterQueue().Replay}
			}
		}), fails: []string{
			"Drain without keep is an error at once",
		}},

		{name: "Drain returns its context's error", open: draining(func(whole *memory.Broker) drainFunc {
			return func(ctx context.Context, keep keepFunc) error {
				return errors.Join(whole.DeadLetterQueue().Drain(ctx, keep), ctx.Err())
			}
		}), fails: []string{
			"Drain waits for dead letters as long as its context lives, and then returns nil",
		}, more: true},

		{name: "Drain gives up when no dead letter comes", open: draining(func(whole *memory.Broker) drainFunc {
			return func(ctx context.Context, keep keepFunc) error {
				ctx, cancel := context.WithCancel(ctx)
				defer cancel()
				idle := time.AfterFunc(200*time.Millisecond, cancel)
				return whole.DeadLetterQueue().Drain(ctx, func(ctx context.Context, letter ports.DeadLetter) error {
					idle.Stop()
					return keep(ctx, letter)
				})
			}
		}), fails: []string{
			"Drain waits for dead letters as long as its context lives, and then returns nil",
		}, more: true},

		{name: "one dead letter at a time", open: draining(func(whole *memory.Broker) drainFunc {
			return func(ctx context.Context, keep keepFunc) error {
				turn := make(chan struct{}, 1)
				return whole.DeadLetterQueue().Drain(ctx, func(kctx context.Context, letter ports.DeadLetter) error {
					select {
					case turn <- struct{}{}:
					case <-ctx.Done():
						return ctx.Err()
					}
					defer func() { <-turn }()
					return keep(kctx, letter)
				})
			}
		}), fails: []string{
			"Drain hands over several dead letters at once",
			"Drain waits for the dead letters in hand",
			"what is kept while Drain ends stays away, and what is not goes to the next",
		}},

		{name: "what is not kept is waited for", open: keeping(func(drain context.Context, keep keepFunc) keepFunc {
			return func(ctx context.Context, letter ports.DeadLetter) error {
				for {
					err := keep(ctx, letter)
					if err == nil {
						return nil
					}
					select {
					case <-time.After(time.Second):
					case <-drain.Done():
						return err
					}
				}
			}
		}), fails: []string{
			"dead letters that can't be kept hold up no others, be they many",
			"Drain and Replay leave the dead letter to the caller",
		}},

		{name: "what is not kept is lost", open: keeping(func(_ context.Context, keep keepFunc) keepFunc {
			return func(ctx context.Context, letter ports.DeadLetter) error {
				keep(ctx, letter)
				return nil
			}
		}), fails: []string{
			"a dead letter that keep fails on is handed over again, the same, until it is kept",
			"what is kept while Drain ends stays away, and what is not goes to the next",
			"Drain and Replay leave the dead letter to the caller",
		}},

		{name: "what is not kept comes again once", open: draining(func(whole *memory.Broker) drainFunc {
			var again sync.Map
			return func(ctx context.Context, keep keepFunc) error {
				return whole.DeadLetterQueue().Drain(ctx, func(ctx context.Context, letter ports.DeadLetter) error {
					err := keep(ctx, letter)
					if _, failed := again.LoadOrStore(letter.ID, true); failed {
						return nil
					}
					return err
				})
			}
		}), fails: []string{
			"a dead letter that keep fails on is handed over again, the same, until it is kept",
		}},

		{name: "what keep panics on is lost", open: keeping(func(_ context.Context, keep keepFunc) keepFunc {
			return func(ctx context.Context, letter ports.DeadLetter) (err error) {
				defer func() { recover() }()
				return keep(ctx, letter)
			}
		}), fails: []string{
			"a dead letter that keep panics on is handed over again, and Drain lives on",
		}},

		{name: "keep's panic gets out", open: draining(func(whole *memory.Broker) drainFunc {
			return func(ctx context.Context, keep keepFunc) error {
				ctx, cancel := context.WithCancel(ctx)
				defer cancel()
				var panicked atomic.Value
				err := whole.DeadLetterQueue().Drain(ctx, func(ctx context.Context, letter ports.DeadLetter) error {
					defer func() {
						if p := recover(); p != nil {
							panicked.Store(p)
							cancel()
						}
					}()
					return keep(ctx, letter)
				})
				if p := panicked.Load(); p != nil {
					panic(p)
				}
				return err
			}
		}), fails: []string{
			"a dead letter that keep panics on is handed over again, and Drain lives on",
		}},

		{name: "what was kept comes again at the next Drain", open: draining(func(whole *memory.Broker) drainFunc {
			var mu sync.Mutex
			var kept []ports.DeadLetter
			return func(ctx context.Context, keep keepFunc) error {
				mu.Lock()
				again := kept
				kept = nil
				mu.Unlock()
				for _, letter := range again {
					keep(ctx, letter)
				}
				return whole.DeadLetterQueue().Drain(ctx, func(ctx context.Context, letter ports.DeadLetter) error {
					err := keep(ctx, letter)
					if err == nil {
						mu.Lock()
						defer mu.Unlock()
						kept = append(kept, letter)
					}
					return err
				})
			}
		}), fails: []string{
			"what was kept stays away, also when another drains",
			"what is kept while Drain ends stays away, and what is not goes to the next",
			"Drain hands over nothing once its context has ended, and the next gets it",
		}},

		{name: "the dead letters have one drain", open: draining(func(whole *memory.Broker) drainFunc {
			var busy sync.Mutex
			return func(ctx context.Context, keep keepFunc) error {
				if !busy.TryLock() {
					return errors.New("drain: the queue is taken")
				}
				defer busy.Unlock()
				return whole.DeadLetterQueue().Drain(ctx, keep)
			}
		}), fails: []string{
			"drains share the dead letters between them",
		}},

		{name: "each drain gets every dead letter", open: draining(func(whole *memory.Broker) drainFunc {
			var mu sync.Mutex
			var keeps []keepFunc
			return func(ctx context.Context, keep keepFunc) error {
				mu.Lock()
				keeps = append(keeps, keep)
				mu.Unlock()
				return whole.DeadLetterQueue().Drain(ctx, func(ctx context.Context, letter ports.DeadLetter) error {
					mu.Lock()
					all := append([]keepFunc(nil), keeps...)
					mu.Unlock()
					var err error
					for _, k := range all {
						err = errors.Join(err, k(ctx, letter))
					}
					return err
				})
			}
		}), fails: []string{
			"drains share the dead letters between them",
		}, more: true},

		{name: "keep's context has no bound", open: keeping(func(_ context.Context, keep keepFunc) keepFunc {
			return func(ctx context.Context, letter ports.DeadLetter) error {
				return keep(context.WithoutCancel(ctx), letter)
			}
		}), fails: []string{
			"keep's context has a bound",
		}},

		{name: "keep's context ends with Drain's", open: keeping(func(drain context.Context, keep keepFunc) keepFunc {
			return func(ctx context.Context, letter ports.DeadLetter) error {
				ctx, cancel := context.WithCancel(ctx)
				defer cancel()
				defer context.AfterFunc(drain, cancel)()
				return keep(ctx, letter)
			}
		}), fails: []string{
			"keep's context lives on when Drain's has ended",
		}},

		{name: "Drain returns before keep", open: draining(func(whole *memory.Broker) drainFunc {
			return func(ctx context.Context, keep keepFunc) error {
				done := make(chan struct{})
				go func() {
					defer close(done)
					whole.DeadLetterQueue().Drain(ctx, keep)
				}()
				select {
				case <-done:
				case <-ctx.Done():
				}
				return nil
			}
		}), fails: []string{
			"Drain waits for the dead letters in hand",
		}, more: true},

		{name: "Drain forgets before it is kept", open: keeping(func(_ context.Context, keep keepFunc) keepFunc {
			return func(ctx context.Context, letter ports.DeadLetter) error {
				go func() {
					defer func() { recover() }()
					keep(context.WithoutCancel(ctx), letter)
				}()
				return nil
			}
		}), fails: []string{
			"Drain waits for the dead letters in hand",
			"a dead letter that keep fails on is handed over again, the same, until it is kept",
		}, more: true},

		{name: "what keep fails on while Drain ends is lost", open: keeping(func(drain context.Context, keep keepFunc) keepFunc {
			return func(ctx context.Context, letter ports.DeadLetter) error {
				err := keep(ctx, letter)
				if drain.Err() != nil {
					return nil
				}
				return err
			}
		}), fails: []string{
			"what is kept while Drain ends stays away, and what is not goes to the next",
		}},

		{name: "Drain goes on for a while when its context has ended", open: draining(func(whole *memory.Broker) drainFunc {
			return func(ctx context.Context, keep keepFunc) error { return drainLonger(ctx, whole, keep) }
		}), fails: []string{
			"Drain returns nil at once if its context has ended, and takes nothing",
			"Drain hands over nothing once its context has ended, and the next gets it",
		}},

		{name: "what was fetched when Drain's context ended is lost", open: draining(func(whole *memory.Broker) drainFunc {
			return func(ctx context.Context, keep keepFunc) error {
				return drainLonger(ctx, whole, func(kctx context.Context, letter ports.DeadLetter) error {
					if ctx.Err() != nil {
						return nil
					}
					return keep(kctx, letter)
				})
			}
		}), fails: []string{
			"Drain returns nil at once if its context has ended, and takes nothing",
			"Drain hands over nothing once its context has ended, and the next gets it",
		}},
	}...)
}

// drainLonger drains for a while longer than it should.
func drainLonger(ctx context.Context, whole *memory.Broker, keep keepFunc) error {
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(20*time.Millisecond, cancel) })()
	return whole.DeadLetterQueue().Drain(late, keep)
}

// brokenLetters are brokers that set aside as they should, and then tell it
// wrong.
func brokenLetters() []broken[porttest.Broker] {
	times := func(name string, change func(f *ports.Failure)) broken[porttest.Broker] {
		return broken[porttest.Broker]{name: name, open: draining(changed(func(letter *ports.DeadLetter) {
			change(&letter.Failures[0])
		})), fails: []string{
			"what is set aside is drained once, with id, reason, attempts and times",
		}, more: true}
	}
	return []broken[porttest.Broker]{
		times("the first failure is the last", func(f *ports.Failure) { f.FirstFailure = f.LastFailure }),
		times("the last failure is the first", func(f *ports.Failure) { f.LastFailure = f.FirstFailure }),
		times("failures are of when they are drained", func(f *ports.Failure) {
			f.LastFailure = time.Now().UTC().Truncate(time.Millisecond)
		}),
		times("failures are to the second", func(f *ports.Failure) { f.LastFailure = f.LastFailure.Truncate(time.Second) }),
		times("failures are to the microsecond", func(f *ports.Failure) { f.LastFailure = f.LastFailure.Add(time.Microsecond) }),
		times("failures are in local time", func(f *ports.Failure) {
			f.FirstFailure = f.FirstFailure.In(time.FixedZone("CET", 3600))
		}),

		{name: "dead letters know when they failed first of all", open: draining(changed(func(letter *ports.DeadLetter) {
			letter.Since = letter.Failures[0].FirstFailure
		})), fails: []string{
			"what is set aside is drained once, with id, reason, attempts and times",
		}, more: true},

		{name: "dead letters are drained twice", open: keeping(func(_ context.Context, keep keepFunc) keepFunc {
			return func(ctx context.Context, letter ports.DeadLetter) error {
				return errors.Join(keep(ctx, letter), keep(ctx, letter))
			}
		}), fails: []string{
			"what is set aside is drained once, with id, reason, attempts and times",
			"what was kept stays away, also when another drains",
			"drains share the dead letters between them",
		}, more: true},

		{name: "what is no event is known by what it says", open: draining(changed(func(letter *ports.DeadLetter) {
			if letter.Headers == nil {
				letter.ID = fmt.Sprintf("%x", letter.Body)
			}
		})), fails: []string{
			"two messages of strangers are two dead letters, though they say the same",
		}, more: true},

		{name: "dead letters carry how often they were drained", open: draining(func(whole *memory.Broker) drainFunc {
			var times atomic.Int64
			return changed(func(letter *ports.DeadLetter) {
				if letter.Headers == nil {
					letter.Headers = map[string]string{}
				}
				letter.Headers["times"] = fmt.Sprint(times.Add(1))
			})(whole)
		}), fails: []string{
			"what is replayed keeps every property of its message, whether it is an event or not",
			"a dead letter that keep fails on is handed over again, the same, until it is kept",
			"what is replayed and fails again is the same dead letter with a later failure",
			"what is no event is drained as it came, and is the same dead letter when it was replayed",
		}},
	}
}
