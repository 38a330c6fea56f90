package porttest_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

func TestDeadLettersClauses(t *testing.T) {
	table := slices.Concat(brokenLetterPuts(), brokenLetterReads(), brokenLetterLists(), brokenLetterFilters(), brokenSettles(), brokenForgetting(), brokenForgettingOfUsers(), brokenLetterAccounts())
	checkSuite(t, porttest.DeadLettersClauses(), faultyLetters(func(*faultyDeadLetters) {}), table)
}

// faultyDeadLetters is a store of dead letters with functions instead of methods. A
// row replaces one of them, and calls the store's own method through whole.
type faultyDeadLetters struct {
	whole   *memory.DeadLetters
	put     func(ctx context.Context, letter ports.DeadLetter) error
	get     func(ctx context.Context, id string) (ports.DeadLetterRecord, error)
	list    func(ctx context.Context, query ports.DeadLetterQuery) (ports.DeadLetterPage, error)
	settle  func(ctx context.Context, letter ports.DeadLetterRecord, state ports.DeadLetterState, by string) error
	forget  func(ctx context.Context, userID string) (int, error)
	groups  func(ctx context.Context, query ports.DeadLetterQuery) (ports.DeadLetterGroups, error)
	account func(ctx context.Context) ([]ports.DeadLetterAccount, error)
}

func (f *faultyDeadLetters) Put(ctx context.Context, letter ports.DeadLetter) error {
	return f.put(ctx, letter)
}

func (f *faultyDeadLetters) Get(ctx context.Context, id string) (ports.DeadLetterRecord, error) {
	return f.get(ctx, id)
}

func (f *faultyDeadLetters) List(ctx context.Context, query ports.DeadLetterQuery) (ports.DeadLetterPage, error) {
	return f.list(ctx, query)
}

func (f *faultyDeadLetters) Settle(ctx context.Context, letter ports.DeadLetterRecord, state ports.DeadLetterState, by string) error {
	return f.settle(ctx, letter, state, by)
}

func (f *faultyDeadLetters) Forget(ctx context.Context, userID string) (int, error) {
	return f.forget(ctx, userID)
}

func (f *faultyDeadLetters) Groups(ctx context.Context, query ports.DeadLetterQuery) (ports.DeadLetterGroups, error) {
	return f.groups(ctx, query)
}

func (f *faultyDeadLetters) Account(ctx context.Context) ([]ports.DeadLetterAccount, error) {
	return f.account(ctx)
}

// faultyLetters makes two stores that breakIt breaks. The second forgets settled
// letters after a lease.
func faultyLetters(breakIt func(f *faultyDeadLetters)) func() porttest.DeadLetters {
	open := func(whole *memory.DeadLetters) *faultyDeadLetters {
		f := &faultyDeadLetters{whole, whole.Put, whole.Get, whole.List, whole.Settle, whole.Forget, whole.Groups, whole.Account}
		breakIt(f)
		return f
	}
	return func() porttest.DeadLetters {
		letters, forgetful := open(new(memory.DeadLetters)), open(&memory.DeadLetters{Retention: lease})
		return porttest.DeadLetters{Letters: letters, Other: letters, Forgetful: forgetful, Retention: lease}
	}
}

// hoarding makes two stores, and breaks only the first. Its fault keeps data outside
// the store, which the second could not forget.
func hoarding(breakIt func(f *faultyDeadLetters)) func() porttest.DeadLetters {
	return faultyLetters(func(f *faultyDeadLetters) {
		if f.whole.Retention == 0 {
			breakIt(f)
		}
	})
}

// keeping makes a store that returns changed letters.
func keeping(change func(letter *ports.DeadLetterRecord)) func() porttest.DeadLetters {
	return faultyLetters(func(f *faultyDeadLetters) { f.change(change) })
}

// change makes Get and List return changed letters.
func (f *faultyDeadLetters) change(change func(letter *ports.DeadLetterRecord)) {
	changeResult(&f.get, func(letter *ports.DeadLetterRecord, _ string) { change(letter) })
	changeResult(&f.list, func(page *ports.DeadLetterPage, _ ports.DeadLetterQuery) {
		for i := range page.Records {
			change(&page.Records[i])
			page.Records[i].Message = ports.Message{ID: page.Records[i].Message.ID}
		}
	})
}

// putting makes a store with another Put.
func putting(put func(f *faultyDeadLetters, ctx context.Context, letter ports.DeadLetter) error) func() porttest.DeadLetters {
	return faultyLetters(func(f *faultyDeadLetters) {
		f.put = func(ctx context.Context, letter ports.DeadLetter) error { return put(f, ctx, letter) }
	})
}

// settling makes a store with another Settle.
func settling(settle func(f *faultyDeadLetters, ctx context.Context, letter ports.DeadLetterRecord, state ports.DeadLetterState, by string) error) func() porttest.DeadLetters {
	return faultyLetters(func(f *faultyDeadLetters) {
		f.settle = func(ctx context.Context, letter ports.DeadLetterRecord, state ports.DeadLetterState, by string) error {
			return settle(f, ctx, letter, state, by)
		}
	})
}

// propertiesOfMessages has a function for each property except headers and body,
// which removes it.
var propertiesOfMessages = map[string]func(m *ports.Message){
	"content type":     func(m *ports.Message) { m.ContentType = "" },
	"content encoding": func(m *ports.Message) { m.ContentEncoding = "" },
	"correlation id":   func(m *ports.Message) { m.CorrelationID = "" },
	"reply-to":         func(m *ports.Message) { m.ReplyTo = "" },
	"type":             func(m *ports.Message) { m.Type = "" },
	"app id":           func(m *ports.Message) { m.AppID = "" },
	"timestamp":        func(m *ports.Message) { m.Timestamp = time.Time{} },
}

func has(failures []ports.Failure, failure ports.Failure) bool {
	return slices.ContainsFunc(failures, func(f ports.Failure) bool { return f.LastFailure.Equal(failure.LastFailure) })
}

func latestReason(failures []ports.Failure) string { return failures[len(failures)-1].Reason }

// resettle settles the current record, whatever the caller has read.
func resettle(ctx context.Context, whole *memory.DeadLetters, id string, state ports.DeadLetterState, by string) error {
	letter, err := whole.Get(ctx, id)
	if err != nil {
		return err
	}
	return whole.Settle(ctx, letter, state, by)
}

func cloned(letter ports.DeadLetter) ports.DeadLetter {
	letter.Message = letter.Message.Clone()
	return letter
}
