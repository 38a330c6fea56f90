package mongodb

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"example.com/orderflow/adapters/internal/cursor"
	"example.com/orderflow/ports"
)

// DeadLetters keeps dead letters.
type DeadLetters struct{ store *Store }

var _ ports.DeadLetters = (*DeadLetters)(nil)

// DeadLetters returns the store's dead letters.
func (s *Store) DeadLetters() *DeadLetters { return &s.parts.deadLetters }

// unforgotten finds letters that are there for a call at that time, whether the
// server has deleted the others yet or not.
func unforgotten(now time.Time) bson.M {
	return bson.M{"forget_at": bson.M{"$not": bson.M{"$lte": now}}}
}

// Put keeps the letter. See [ports.DeadLetters]. One that is too large for a
// document is an error marked by [ports.Permanent].
func (d *DeadLetters) Put(ctx context.Context, letter ports.DeadLetter) error {
	if err := d.put(ctx, letter); err != nil {
		return fmt.Errorf("put dead letter %s: %w", letter.ID, err)
	}
	return nil
}

func (d *DeadLetters) put(ctx context.Context, letter ports.DeadLetter) error {
	ctx, cancel := d.store.bound(ctx)
	defer cancel()
	if len(letter.Failures) != 1 {
		return ports.Permanent(fmt.Errorf("it has %d failures, want one", len(letter.Failures)))
	}
	failure := letter.Failures[0]
	message, err := bson.Marshal(messageOf(letter))
	if err != nil {
		return err
	}
	if len(message) > maxMessage {
		return ports.Permanent(fmt.Errorf("it takes %d bytes, and may take %d at most", len(message), maxMessage))
	}
	change := bson.M{
		"$setOnInsert": bson.Raw(message),
		"$set":         bson.M{"state": string(ports.Waiting)},
		"$unset":       unsettled,
		"$push": bson.M{"failures": bson.M{
			"$each": bson.A{failureDocument(failure)}, "$sort": bson.M{"last_failure": 1}, "$slice": -ports.MaxFailures,
		}},
	}
	for { // until something is true of what is there, or the context ends
		there := unforgotten(time.Now())
		there["_id"] = letter.ID

		there["failures.last_failure"] = bson.M{"$ne": failure.LastFailure}
		_, err := d.store.deadLetters.UpdateOne(ctx, there, change, options.UpdateOne().SetUpsert(true))
		if err == nil {
			return nil
		}
		if !isDuplicate(err) {
			return d.blame(ctx, letter.ID, err)
		}
		// The server has tried to insert a second document of that id: the first
		// has this failure, or is to be forgotten, or came at this moment.
		there["failures.last_failure"] = failure.LastFailure
		if known, err := d.any(ctx, there); known || err != nil {
			return err
		}
		forgotten := bson.M{"_id": letter.ID, "forget_at": bson.M{"$lte": time.Now()}}
		if _, err := d.store.deadLetters.DeleteOne(ctx, forgotten); err != nil {
			return classify(ctx, err)
		}
	}
}

// unsettled are the fields that a letter which waits does not have.
var unsettled = bson.M{"settled_at": "", "settled_by": "", "forget_at": ""}

// blame says what err, with which a failure could not be added, comes from. A
// server may refuse to change a document that is not as we have written it.
func (d *DeadLetters) blame(ctx context.Context, id string, err error) error {
	const badValue = 2
	var answer mongo.ServerError
	if errors.As(err, &answer) && answer.HasErrorCode(badValue) {
		var unreadable *ports.UnreadableError
		if _, kept := d.get(ctx, id); errors.As(kept, &unreadable) {
			return ports.Permanent(fmt.Errorf("%w: %w", kept, err))
		}
	}
	return classify(ctx, err)
}

// any reports whether the filter finds a letter.
func (d *DeadLetters) any(ctx context.Context, filter bson.M) (bool, error) {
	err := d.store.deadLetters.FindOne(ctx, filter, options.FindOne().SetProjection(bson.M{"_id": 1})).Err()
	if errors.Is(err, mongo.ErrNoDocuments) {
		return false, nil
	}
	if err != nil {
		return false, classify(ctx, err)
	}
	return true, nil
}

// Get returns the letter with that id. See [ports.DeadLetters].
func (d *DeadLetters) Get(ctx context.Context, id string) (ports.DeadLetter, error) {
	letter, err := d.get(ctx, id)
	if err != nil {
		return ports.DeadLetter{}, fmt.Errorf("get dead letter %s: %w", id, err)
	}
	return letter, nil
}

func (d *DeadLetters) get(ctx context.Context, id string) (ports.DeadLetter, error) {
	ctx, cancel := d.store.bound(ctx)
	defer cancel()
	filter := unforgotten(time.Now())
	filter["_id"] = id
	document, err := d.store.deadLetters.FindOne(ctx, filter).Raw()
	if errors.Is(err, mongo.ErrNoDocuments) {
		return ports.DeadLetter{}, ports.ErrNotFound
	}
	if err != nil {
		return ports.DeadLetter{}, classify(ctx, err)
	}
	return readLetter(document, true)
}

// List returns a page of letters. See [ports.DeadLetters].
func (d *DeadLetters) List(ctx context.Context, query ports.DeadLetterQuery) (ports.DeadLetterPage, error) {
	page, err := d.list(ctx, query)
	if err != nil {
		return ports.DeadLetterPage{}, fmt.Errorf("list dead letters: %w", err)
	}
	return page, nil
}

func (d *DeadLetters) list(ctx context.Context, query ports.DeadLetterQuery) (ports.DeadLetterPage, error) {
	ctx, cancel := d.store.bound(ctx)
	defer cancel()
	filter, err := letterFilter(query)
	if err != nil {
		return ports.DeadLetterPage{}, err
	}
	limit := min(max(query.Limit, 1), ports.MaxListLimit)
	opts := first(limit+1, oldestFirst).SetProjection(listed) // one more tells of a next page
	if query.OrderID != "" {
		opts.SetHint(bson.D{{Key: "_id", Value: 1}}) // left alone, some servers go through all letters in the list's order
	}
	found, err := findPage(ctx, d.store.deadLetters, filter, opts, limit, readListed)
	if err != nil {
		return ports.DeadLetterPage{}, err
	}
	found.passed.log(ctx, d.store.options.Logger, d.store.deadLetters)
	page := ports.DeadLetterPage{Letters: found.records, Unreadable: found.passed.count}
	if found.more {
		page.NextCursor = cursor.EncodeLetter(cursor.OfLetter(page.Letters[limit-1]))
	}
	return page, nil
}

// listed are the fields that List reads.
var listed = bson.M{
	"message_id": 1, "failures": 1, "state": 1, "since": 1, "settled_at": 1, "settled_by": 1,
}

func readListed(document bson.Raw) (ports.DeadLetter, error) { return readLetter(document, false) }

func letterFilter(query ports.DeadLetterQuery) (bson.M, error) {
	filter := unforgotten(time.Now())
	if query.State != "" {
		filter["state"] = string(query.State)
	}
	if query.OrderID != "" {
		const hyphen, next = "-", "." // the character that follows the hyphen
		filter["_id"] = bson.M{"$gte": string(query.OrderID) + hyphen, "$lt": string(query.OrderID) + next}
	}
	if query.Reason != "" {
		filter["$expr"] = latestReasonContains(query.Reason)
	}
	if query.Cursor == "" {
		return filter, nil
	}
	after, err := cursor.DecodeLetter(query.Cursor)
	if err != nil {
		return nil, err
	}
	// As for orders: where an index scan starts, and what it passes over.
	filter["since"] = bson.M{"$not": bson.M{"$lt": after.Since}, "$ne": nil}
	filter["$nor"] = bson.A{
		bson.M{"since": bson.M{"$type": typesBefore("date")}},
		bson.M{"since": after.Since, "_id": bson.M{"$lte": after.ID}},
		bson.M{"since": after.Since, "_id": bson.M{"$type": typesBefore("string")}},
	}
	return filter, nil
}

// latestReasonContains finds letters whose latest reason contains the text, or
// is no text: those can't be read.
func latestReasonContains(text string) bson.M {
	reasons := bson.M{"$cond": bson.A{bson.M{"$isArray": "$failures"}, "$failures.reason", bson.A{}}}
	latest := bson.M{"$arrayElemAt": bson.A{reasons, -1}}
	return bson.M{"$cond": bson.A{
		bson.M{"$eq": bson.A{bson.M{"$type": latest}, "string"}},
		bson.M{"$gte": bson.A{bson.M{"$indexOfBytes": bson.A{latest, bson.M{"$literal": text}}}, 0}},
		true,
	}}
}

// Settle gives the letter another state. See [ports.DeadLetters].
func (d *DeadLetters) Settle(ctx context.Context, letter ports.DeadLetter, state ports.DeadLetterState, by string) error {
	if err := d.settle(ctx, letter, state, by); err != nil {
		return fmt.Errorf("settle dead letter %s: %w", letter.ID, err)
	}
	return nil
}

func (d *DeadLetters) settle(ctx context.Context, letter ports.DeadLetter, state ports.DeadLetterState, by string) error {
	if err := state.Check(); err != nil {
		return err
	}
	ctx, cancel := d.store.bound(ctx)
	defer cancel()
	now := time.Now()
	there := unforgotten(now)
	there["_id"] = letter.ID

	asRead := maps.Clone(there)
	asRead["state"] = string(letter.State)
	asRead["settled_at"] = bson.M{"$exists": false}
	if !letter.SettledAt.IsZero() {
		asRead["settled_at"] = letter.SettledAt
	}
	times := bson.A{}
	for _, failure := range letter.Failures {
		times = append(times, failure.LastFailure)
	}
	asRead["$expr"] = bson.M{"$eq": bson.A{"$failures.last_failure", times}}

	change := bson.M{
		"$set":   bson.M{"state": string(state)},
		"$unset": unsettled,
	}
	if state != ports.Waiting {
		forgetAt := now.Add(d.store.options.DeadLetterRetention)
		change = bson.M{"$set": bson.M{"state": string(state), "settled_at": now, "settled_by": by, "forget_at": forgetAt}}
	}
	result, err := d.store.deadLetters.UpdateOne(ctx, asRead, change)
	if err != nil {
		return classify(ctx, err)
	}
	if result.MatchedCount > 0 {
		return nil
	}
	kept, err := d.any(ctx, there)
	if err != nil {
		return err
	}
	if !kept {
		return ports.ErrNotFound
	}
	return ports.ErrChanged
}
