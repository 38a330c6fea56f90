package porttest_test

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

func TestDeadLettersClauses(t *testing.T) {
	table := slices.Concat(brokenLetterPuts(), brokenLetterReads(), brokenLetterLists(), brokenSettles(), brokenForgetting())
	checkSuite(t, porttest.DeadLettersClauses(), faultyLetters(func(*memory.DeadLetters, *faultyDeadLetters) {}), table)
}

// faultyDeadLetters has functions that stand in for a method of a whole store.
type faultyDeadLetters struct {
	whole  *memory.DeadLetters
	put    func(ctx context.Context, letter ports.DeadLetter) error
	get    func(ctx context.Context, id string) (ports.DeadLetter, error)
	list   func(ctx context.Context, query ports.DeadLetterQuery) (ports.DeadLetterPage, error)
	settle func(ctx context.Context, letter ports.DeadLetter, state ports.DeadLetterState, by string) error
}

func (f *faultyDeadLetters) Put(ctx context.Context, letter ports.DeadLetter) error {
	if f.put != nil {
		return f.put(ctx, letter)
	}
	return f.whole.Put(ctx, letter)
}

func (f *faultyDeadLetters) Get(ctx context.Context, id string) (ports.DeadLetter, error) {
	if f.get != nil {
		return f.get(ctx, id)
	}
	return f.whole.Get(ctx, id)
}

func (f *faultyDeadLetters) List(ctx context.Context, query ports.DeadLetterQuery) (ports.DeadLetterPage, error) {
	if f.list != nil {
		return f.list(ctx, query)
	}
	return f.whole.List(ctx, query)
}

func (f *faultyDeadLetters) Settle(ctx context.Context, letter ports.DeadLetter, state ports.DeadLetterState, by string) error {
	if f.settle != nil {
		return f.settle(ctx, letter, state, by)
	}
	return f.whole.Settle(ctx, letter, state, by)
}

// faultyLetters makes stores with that fault, one of which forgets soon.
func faultyLetters(breakIt func(whole *memory.DeadLetters, f *faultyDeadLetters)) func() porttest.DeadLetters {
	return func() porttest.DeadLetters {
		letters := &faultyDeadLetters{whole: new(memory.DeadLetters)}
		breakIt(letters.whole, letters)
		forgetful := &faultyDeadLetters{whole: &memory.DeadLetters{Retention: lease}}
		breakIt(forgetful.whole, forgetful)
		return porttest.DeadLetters{Letters: letters, Other: letters, Forgetful: forgetful, Retention: lease}
	}
}

// hoarding makes stores with a fault that keeps things besides the store, and
// would not forget them: so it is in the one store only that forgets nothing.
func hoarding(breakIt func(whole *memory.DeadLetters, f *faultyDeadLetters)) func() porttest.DeadLetters {
	return faultyLetters(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
		if whole.Retention == 0 {
			breakIt(whole, f)
		}
	})
}

// showing makes a store that returns its letters changed.
func showing(change func(letter *ports.DeadLetter)) func() porttest.DeadLetters {
	return faultyLetters(func(_ *memory.DeadLetters, f *faultyDeadLetters) { f.show(change) })
}

func (f *faultyDeadLetters) show(change func(letter *ports.DeadLetter)) {
	f.get = func(ctx context.Context, id string) (ports.DeadLetter, error) {
		letter, err := f.whole.Get(ctx, id)
		if err == nil {
			change(&letter)
		}
		return letter, err
	}
	f.list = func(ctx context.Context, query ports.DeadLetterQuery) (ports.DeadLetterPage, error) {
		page, err := f.whole.List(ctx, query)
		for i := range page.Letters {
			change(&page.Letters[i])
			bare := page.Letters[i]
			page.Letters[i] = ports.DeadLetter{
				ID: bare.ID, MessageID: bare.MessageID, Failures: bare.Failures,
				State: bare.State, Since: bare.Since, SettledAt: bare.SettledAt, SettledBy: bare.SettledBy,
			}
		}
		return page, err
	}
}

// afterPut makes a store that does more once it has put a letter that was
// there before.
func afterPut(do func(ctx context.Context, whole *memory.DeadLetters, before, put ports.DeadLetter) error) func() porttest.DeadLetters {
	return faultyLetters(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
		f.put = func(ctx context.Context, letter ports.DeadLetter) error {
			before, unknown := whole.Get(ctx, letter.ID)
			if err := whole.Put(ctx, letter); err != nil || unknown != nil {
				return err
			}
			return do(ctx, whole, before, letter)
		}
	})
}

// properties take from a letter what the sender has said beside headers and
// body.
var properties = map[string]func(letter *ports.DeadLetter){
	"content type":     func(l *ports.DeadLetter) { l.ContentType = "" },
	"content encoding": func(l *ports.DeadLetter) { l.ContentEncoding = "" },
	"correlation id":   func(l *ports.DeadLetter) { l.CorrelationID = "" },
	"reply-to":         func(l *ports.DeadLetter) { l.ReplyTo = "" },
	"type":             func(l *ports.DeadLetter) { l.Type = "" },
	"app id":           func(l *ports.DeadLetter) { l.AppID = "" },
	"timestamp":        func(l *ports.DeadLetter) { l.Timestamp = time.Time{} },
}

func has(letter ports.DeadLetter, failure ports.Failure) bool {
	return slices.ContainsFunc(letter.Failures, func(f ports.Failure) bool { return f.LastFailure.Equal(failure.LastFailure) })
}

// resettle brings the letter into that state, whatever others have done to it.
func resettle(ctx context.Context, whole *memory.DeadLetters, id string, state ports.DeadLetterState, by string) error {
	letter, err := whole.Get(ctx, id)
	if err != nil {
		return err
	}
	return whole.Settle(ctx, letter, state, by)
}

// shared is a map for several goroutines.
type shared[K comparable, V any] struct {
	mu     sync.Mutex
	values map[K]V
}

func (s *shared[K, V]) get(key K) (V, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	value, ok := s.values[key]
	return value, ok
}

func (s *shared[K, V]) set(key K, value V) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.values == nil {
		s.values = map[K]V{}
	}
	s.values[key] = value
}

func cloned(letter ports.DeadLetter) ports.DeadLetter {
	letter.Headers, letter.Body, letter.Failures = maps.Clone(letter.Headers), slices.Clone(letter.Body), slices.Clone(letter.Failures)
	return letter
}

// slowLetters is a store of dead letters on that machine.
func slowLetters(m *machine) porttest.DeadLetters {
	return faultyLetters(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
		f.put = func(ctx context.Context, letter ports.DeadLetter) error {
			return slowly(m, func() error { return whole.Put(ctx, letter) })
		}
		f.get = func(ctx context.Context, id string) (ports.DeadLetter, error) {
			return slow(m, func() (ports.DeadLetter, error) { return whole.Get(ctx, id) })
		}
		f.list = func(ctx context.Context, query ports.DeadLetterQuery) (ports.DeadLetterPage, error) {
			return slow(m, func() (ports.DeadLetterPage, error) { return whole.List(ctx, query) })
		}
		f.settle = func(ctx context.Context, letter ports.DeadLetter, state ports.DeadLetterState, by string) error {
			return slowly(m, func() error { return whole.Settle(ctx, letter, state, by) })
		}
	})()
}
