package memory

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/orderflow/adapters/internal/cursor"
	"example.com/orderflow/ports"
)

// DeadLetters keeps dead letters. What is to be forgotten is freed by the next
// call, whichever it is.
type DeadLetters struct {
	Retention time.Duration // how long settled letters are kept; 0 or less: ports.DeadLetterRetention

	mu      sync.Mutex
	byID    map[string]*ports.DeadLetter
	sorted  []*ports.DeadLetter // all of them, as they are listed
	settled []*ports.DeadLetter // those that don't wait, in the order in which they were settled
}

var _ ports.DeadLetters = (*DeadLetters)(nil)

// Put keeps the letter, or adds its failure to the one that is kept.
func (d *DeadLetters) Put(ctx context.Context, letter ports.DeadLetter) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("put dead letter %s: %w", letter.ID, err)
	}
	if len(letter.Failures) != 1 {
		return ports.Permanent(fmt.Errorf("put dead letter %s: it has %d failures, want one", letter.ID, len(letter.Failures)))
	}
	failure := letter.Failures[0]
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forget()
	kept, ok := d.byID[letter.ID]
	if !ok {
		d.add(letter)
		return nil
	}
	i, known := slices.BinarySearchFunc(kept.Failures, failure.LastFailure, func(f ports.Failure, at time.Time) int {
		return f.LastFailure.Compare(at)
	})
	if known {
		return nil
	}
	kept.Failures = slices.Insert(kept.Failures, i, failure)
	kept.Failures = kept.Failures[max(len(kept.Failures)-ports.MaxFailures, 0):]
	d.decide(kept, ports.Waiting, "")
	return nil
}

func (d *DeadLetters) add(letter ports.DeadLetter) {
	letter = cloneLetter(letter)
	letter.State, letter.Since, letter.SettledAt, letter.SettledBy = ports.Waiting, letter.Failures[0].FirstFailure, time.Time{}, ""
	if d.byID == nil {
		d.byID = make(map[string]*ports.DeadLetter)
	}
	d.byID[letter.ID] = &letter
	i, _ := d.find(cursor.OfLetter(letter))
	d.sorted = slices.Insert(d.sorted, i, &letter)
}

// Get returns the letter with that id.
func (d *DeadLetters) Get(ctx context.Context, id string) (ports.DeadLetter, error) {
	if err := ctx.Err(); err != nil {
		return ports.DeadLetter{}, fmt.Errorf("get dead letter %s: %w", id, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forget()
	kept, ok := d.byID[id]
	if !ok {
		return ports.DeadLetter{}, fmt.Errorf("get dead letter %s: %w", id, ports.ErrNotFound)
	}
	return cloneLetter(*kept), nil
}

// List returns one page of letters, oldest first.
func (d *DeadLetters) List(ctx context.Context, query ports.DeadLetterQuery) (ports.DeadLetterPage, error) {
	if err := ctx.Err(); err != nil {
		return ports.DeadLetterPage{}, fmt.Errorf("list dead letters: %w", err)
	}
	limit := min(max(query.Limit, 1), ports.MaxListLimit)

	d.mu.Lock()
	defer d.mu.Unlock()
	d.forget()
	from := 0
	if query.Cursor != "" {
		after, err := cursor.DecodeLetter(query.Cursor)
		if err != nil {
			return ports.DeadLetterPage{}, fmt.Errorf("list dead letters: %w", err)
		}
		var there bool
		if from, there = d.find(after); there {
			from++
		}
	}
	var page ports.DeadLetterPage
	for _, letter := range d.sorted[from:] {
		latest := letter.Failures[len(letter.Failures)-1]
		asked := (query.State == "" || letter.State == query.State) &&
			(query.OrderID == "" || strings.HasPrefix(letter.ID, string(query.OrderID)+"-")) &&
			strings.Contains(latest.Reason, query.Reason)
		if !asked {
			continue
		}
		if len(page.Letters) == limit {
			page.NextCursor = cursor.EncodeLetter(cursor.OfLetter(page.Letters[limit-1]))
			break
		}
		page.Letters = append(page.Letters, listedLetter(*letter))
	}
	return page, nil
}

// listedLetter returns the letter as List has it.
func listedLetter(letter ports.DeadLetter) ports.DeadLetter {
	return ports.DeadLetter{
		ID: letter.ID, MessageID: letter.MessageID, Failures: slices.Clone(letter.Failures),
		State: letter.State, Since: letter.Since, SettledAt: letter.SettledAt, SettledBy: letter.SettledBy,
	}
}

// Settle gives the letter another state.
func (d *DeadLetters) Settle(ctx context.Context, letter ports.DeadLetter, state ports.DeadLetterState, by string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("settle dead letter %s: %w", letter.ID, err)
	}
	if err := state.Check(); err != nil {
		return fmt.Errorf("settle dead letter %s: %w", letter.ID, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forget()
	kept, ok := d.byID[letter.ID]
	if !ok {
		return fmt.Errorf("settle dead letter %s: %w", letter.ID, ports.ErrNotFound)
	}
	if !unchanged(letter, *kept) {
		return fmt.Errorf("settle dead letter %s: %w", letter.ID, ports.ErrChanged)
	}
	d.decide(kept, state, by)
	return nil
}

// unchanged reports whether the letter is still as it was read.
func unchanged(read, now ports.DeadLetter) bool {
	return read.State == now.State && read.SettledAt.Equal(now.SettledAt) &&
		slices.EqualFunc(read.Failures, now.Failures, func(a, b ports.Failure) bool {
			return a.LastFailure.Equal(b.LastFailure)
		})
}

func (d *DeadLetters) decide(kept *ports.DeadLetter, state ports.DeadLetterState, by string) {
	if kept.State != ports.Waiting {
		d.settled = slices.DeleteFunc(d.settled, func(l *ports.DeadLetter) bool { return l == kept })
	}
	kept.State, kept.SettledAt, kept.SettledBy = state, time.Time{}, ""
	if state != ports.Waiting {
		kept.SettledAt, kept.SettledBy = now(), by
		d.settled = append(d.settled, kept)
	}
}

// forget begins each call: what has been settled for long enough is not there
// for it any more.
func (d *DeadLetters) forget() {
	retention := d.Retention
	if retention <= 0 {
		retention = ports.DeadLetterRetention
	}
	forgotten := time.Now().Add(-retention)
	for len(d.settled) > 0 && !d.settled[0].SettledAt.After(forgotten) {
		letter := d.settled[0]
		d.settled[0] = nil // for the garbage collector
		d.settled = d.settled[1:]
		delete(d.byID, letter.ID)
		i, _ := d.find(cursor.OfLetter(*letter))
		d.sorted = slices.Delete(d.sorted, i, i+1)
	}
}

// find returns where the letter of that place is among the sorted ones, or
// would be.
func (d *DeadLetters) find(place cursor.Letter) (int, bool) {
	return slices.BinarySearchFunc(d.sorted, place, func(l *ports.DeadLetter, place cursor.Letter) int {
		return cursor.OfLetter(*l).Compare(place)
	})
}

// cloneLetter returns a letter that shares nothing with this one.
func cloneLetter(letter ports.DeadLetter) ports.DeadLetter {
	letter.Headers = maps.Clone(letter.Headers)
	letter.Body = bytes.Clone(letter.Body)
	letter.Failures = slices.Clone(letter.Failures)
	return letter
}
