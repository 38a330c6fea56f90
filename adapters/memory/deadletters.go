package memory

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/orderflow/adapters/internal/cursor"
	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/ports"
)

// DeadLetters stores dead letters. Each call first deletes the records whose
// retention is over.
type DeadLetters struct {
	Retention time.Duration // of settled letters; 0 or less: ports.DeadLetterRetention

	mu      sync.Mutex
	byID    map[string]*letterRecord
	sorted  []*letterRecord // as List returns them
	settled []*letterRecord // by SettledAt

	forgotten map[settledLetters]int // how many were deleted
}

// letterRecord is a record with the group of its latest reason.
type letterRecord struct {
	ports.DeadLetterRecord
	group string
}

var _ ports.DeadLetters = (*DeadLetters)(nil)

// begin locks the store for one call, and deletes the records whose retention is
// over. If it returns no error, the caller unlocks.
func (d *DeadLetters) begin(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.mu.Lock()
	retention := d.Retention
	if retention <= 0 {
		retention = ports.DeadLetterRetention
	}
	over := time.Now().Add(-retention)
	for len(d.settled) > 0 && !d.settled[0].SettledAt.After(over) {
		record := d.settled[0]
		if d.forgotten == nil {
			d.forgotten = make(map[settledLetters]int)
		}
		d.forgotten[settledLetters{groupOf(record), record.State}]++
		d.settled[0] = nil // for the garbage collector
		d.settled = d.settled[1:]
		delete(d.byID, record.ID)
		i, _ := d.find(cursor.OfLetter(record.DeadLetterRecord))
		d.sorted = slices.Delete(d.sorted, i, i+1)
	}
	return nil
}

// Put implements [ports.DeadLetters].
func (d *DeadLetters) Put(ctx context.Context, letter ports.DeadLetter) error {
	if err := d.begin(ctx); err != nil {
		return fmt.Errorf("put dead letter %s: %w", letter.ID, err)
	}
	defer d.mu.Unlock()
	record, ok := d.byID[letter.ID]
	if !ok {
		d.add(letter)
		return nil
	}
	i, known := slices.BinarySearchFunc(record.Failures, letter.Failure, func(a, b ports.Failure) int {
		return a.LastFailure.Compare(b.LastFailure)
	})
	if known {
		return nil
	}
	record.Failures = slices.Insert(record.Failures, i, letter.Failure)
	record.Failures = record.Failures[max(len(record.Failures)-ports.MaxFailures, 0):]
	record.group = ports.ReasonGroup(record.LatestFailure().Reason)
	d.settle(record, ports.Waiting, "")
	return nil
}

func (d *DeadLetters) add(letter ports.DeadLetter) {
	record := &letterRecord{ports.DeadLetterRecord{
		ID: letter.ID, Subscription: letter.Subscription, Message: letter.Message.Clone(), Failures: []ports.Failure{letter.Failure},
		State: ports.Waiting, Since: letter.Failure.FirstFailure,
	}, ports.ReasonGroup(letter.Failure.Reason)}
	record.EventType, record.UserID = wire.Describe(letter.Message)
	if d.byID == nil {
		d.byID = make(map[string]*letterRecord)
	}
	d.byID[letter.ID] = record
	i, _ := d.find(cursor.OfLetter(record.DeadLetterRecord))
	d.sorted = slices.Insert(d.sorted, i, record)
}

// Get implements [ports.DeadLetters].
func (d *DeadLetters) Get(ctx context.Context, id string) (ports.DeadLetterRecord, error) {
	if err := d.begin(ctx); err != nil {
		return ports.DeadLetterRecord{}, fmt.Errorf("get dead letter %s: %w", id, err)
	}
	defer d.mu.Unlock()
	record, ok := d.byID[id]
	if !ok {
		return ports.DeadLetterRecord{}, fmt.Errorf("get dead letter %s: %w", id, ports.ErrNotFound)
	}
	clone := record.DeadLetterRecord
	clone.Message, clone.Failures = record.Message.Clone(), slices.Clone(record.Failures)
	return clone, nil
}

// List implements [ports.DeadLetters].
func (d *DeadLetters) List(ctx context.Context, query ports.DeadLetterQuery) (ports.DeadLetterPage, error) {
	if err := d.begin(ctx); err != nil {
		return ports.DeadLetterPage{}, fmt.Errorf("list dead letters: %w", err)
	}
	defer d.mu.Unlock()
	limit := min(max(query.Limit, 1), ports.MaxListLimit)
	from := 0
	if query.Cursor != "" {
		after, err := cursor.DecodeLetter(query.Cursor)
		if err != nil {
			return ports.DeadLetterPage{}, fmt.Errorf("list dead letters: %w", err)
		}
		var found bool
		if from, found = d.find(after); found {
			from++
		}
	}
	var page ports.DeadLetterPage
	for _, record := range d.sorted[from:] {
		if !matches(record, query) {
			continue
		}
		if len(page.Records) == limit {
			page.NextCursor = cursor.EncodeLetter(cursor.OfLetter(page.Records[limit-1]))
			break
		}
		listed := record.DeadLetterRecord
		listed.Message, listed.Failures = ports.Message{ID: record.Message.ID}, slices.Clone(record.Failures)
		page.Records = append(page.Records, listed)
	}
	return page, nil
}

func matches(record *letterRecord, query ports.DeadLetterQuery) bool {
	return (query.State == "" || record.State == query.State) &&
		(query.Subscription == nil || record.Subscription == *query.Subscription) &&
		(query.EventType == "" || record.EventType == query.EventType) &&
		(query.UserID == "" || record.UserID == query.UserID) &&
		(query.OrderID == "" || strings.HasPrefix(record.ID, string(query.OrderID)+"-")) &&
		(query.Group == "" || record.group == query.Group) &&
		isWithin(record.Since, query.From, query.To) &&
		strings.Contains(record.LatestFailure().Reason, query.Reason)
}

// Settle implements [ports.DeadLetters].
func (d *DeadLetters) Settle(ctx context.Context, read ports.DeadLetterRecord, state ports.DeadLetterState, by string) error {
	if err := state.Check(); err != nil {
		return fmt.Errorf("settle dead letter %s: %w", read.ID, err)
	}
	if err := d.begin(ctx); err != nil {
		return fmt.Errorf("settle dead letter %s: %w", read.ID, err)
	}
	defer d.mu.Unlock()
	record, ok := d.byID[read.ID]
	if !ok {
		return fmt.Errorf("settle dead letter %s: %w", read.ID, ports.ErrNotFound)
	}
	sameTime := func(a, b ports.Failure) bool { return a.LastFailure.Equal(b.LastFailure) }
	if read.State != record.State || !read.SettledAt.Equal(record.SettledAt) || !slices.EqualFunc(read.Failures, record.Failures, sameTime) {
		return fmt.Errorf("settle dead letter %s: %w", read.ID, ports.ErrChanged)
	}
	d.settle(record, state, by)
	return nil
}

func (d *DeadLetters) settle(record *letterRecord, state ports.DeadLetterState, by string) {
	if record.State != ports.Waiting {
		d.settled = slices.DeleteFunc(d.settled, func(r *letterRecord) bool { return r == record })
	}
	record.State, record.SettledAt, record.SettledBy = state, time.Time{}, ""
	if state != ports.Waiting {
		record.SettledAt, record.SettledBy = now(), by
		d.settled = append(d.settled, record)
	}
}

// find returns the index of the record at that place in sorted, or the index at
// which it belongs.
func (d *DeadLetters) find(place cursor.Letter) (int, bool) {
	return slices.BinarySearchFunc(d.sorted, place, func(r *letterRecord, place cursor.Letter) int {
		return cursor.OfLetter(r.DeadLetterRecord).Compare(place)
	})
}

// Forget implements [ports.DeadLetters].
func (d *DeadLetters) Forget(ctx context.Context, userID string) (int, error) {
	if err := d.begin(ctx); err != nil {
		return 0, fmt.Errorf("forget a user's dead letters: %w", err)
	}
	defer d.mu.Unlock()
	forgotten := 0
	for _, record := range d.sorted {
		if !wire.IsAbout(record.Message, userID) {
			continue
		}
		record.Message.Body, record.Message.Headers = nil, nil
		for i := range record.Failures {
			record.Failures[i].Reason = ""
		}
		record.UserID, record.group = "", ""
		if record.State == ports.Waiting {
			d.settle(record, ports.Discarded, ports.SettledByForget)
		}
		forgotten++
	}
	return forgotten, nil
}
