package mongodb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// unfinal selects the records that wait or are dead.
var unfinal = bson.M{"state": bson.M{"$exists": true, "$ne": string(domain.Skipped)}}

// Record stores the notification. See [ports.DeliveryClaim].
//
// It inserts the record, or replaces that of a notification that was dead. If the
// notification is not sent and the claim is older than half of its lease, another command
// checks the claim first. If the process dies after the write, the event comes again and
// finds the record.
func (c *deliveryClaim) Record(ctx context.Context, n domain.Notification, event domain.Event) (err error) {
	defer describe(&err, "record delivery of %s", c.id)
	ctx, cancel := c.store.bound(ctx)
	defer cancel()
	if n.State != domain.Sent {
		if held, err := c.isHeld(ctx); err != nil || !held {
			return err
		}
	}
	if all := slices.Concat(c.earlier, n.Attempts); len(c.earlier) > 0 {
		n.Attempts = all[max(0, len(all)-domain.MaxAttempts):]
	}
	r := newRecord(c.id, n, event)
	err = c.store.records.Do(ctx, r)
	switch {
	case isDuplicate(err) && n.State == domain.Sent:
		err = c.store.replaceWithSent(ctx, r)
	case isDuplicate(err): // the claim was on a dead one, or its holder has recorded before
		err = c.store.replace(ctx, r, bson.M{"state": string(domain.Dead)})
	case err != nil:
		err = outage(ctx, err)
	}
	if err != nil || n.State != domain.Dead {
		return err
	}
	// A dead one is claimed again when it is replayed, which may be soon. If the
	// process dies before this write, that succeeds when the claim has ended.
	return c.store.freeClaim(ctx, bson.M{"_id": c.id, "token": c.token})
}

// record is a document that waits for the next write.
type record struct{ deliveryDocument }

func newRecord(id deliveryID, n domain.Notification, event domain.Event) record {
	return record{newDeliveryDocument(id, n, event)}
}

func (r record) Key() string { return r.ID.key() }

func (r record) Size() int {
	size := len(r.ID.key()) + len(r.UserID) + len(r.Reason) + 300
	for _, a := range r.Attempts {
		size += len(a.Code) + len(a.Answer) + 100
	}
	if r.Wait != nil {
		size += len(r.Wait.Event.UserID) + len(r.Wait.Event.Product) + 400
	}
	return size
}

// insertRecords writes the records of several callers.
func (s *Store) insertRecords(ctx context.Context, records []record) []error {
	documents := make([]deliveryDocument, len(records))
	for i, r := range records {
		documents[i] = r.deliveryDocument
	}
	return s.countFinal(ctx, documents, func() []error { return insert(ctx, s, s.deliveries, documents) })
}

// countFinal makes those of the documents late that are final and older than the floor,
// and calls write.
func (s *Store) countFinal(ctx context.Context, documents []deliveryDocument, write func() []error) []error {
	var times []time.Time
	for _, d := range documents {
		if d.isFinal() {
			times = append(times, d.SentAt)
		}
	}
	return s.deliveryCounter.count(ctx, times, len(documents), func(late func(time.Time) string) []error {
		for i, d := range documents {
			if d.isFinal() {
				documents[i].Late = late(d.SentAt)
			}
		}
		return write()
	})
}

func (d deliveryDocument) isFinal() bool {
	return d.State == "" || d.State == string(domain.Skipped)
}

// replacement is a record that waits for the next write, and replaces the one that
// the filter selects.
type replacement struct {
	record
	filter bson.M
}

// replace replaces the record if it matches the filter.
func (s *Store) replace(ctx context.Context, r record, filter bson.M) error {
	err := s.replacements.Do(ctx, replacement{r, filter})
	if errors.Is(err, errSomeUnmatched) {
		return nil
	}
	return repeatable(ctx, err)
}

// replaceWithSent replaces the record, unless it says that the notification was
// sent already. If the record does not exist any more, it inserts one.
func (s *Store) replaceWithSent(ctx context.Context, r record) error {
	err := s.replacements.Do(ctx, replacement{r, unfinal})
	if errors.Is(err, errSomeUnmatched) {
		recorded, found, err := s.findNotification(ctx, r.ID)
		if err != nil || recorded.State == domain.Sent {
			return err
		}
		if recorded.State == domain.Skipped {
			return s.replaceSkipped(ctx, r)
		}
		if found {
			return fmt.Errorf("%w: the record changes at the same time", ports.ErrUnavailable)
		}
		return repeatable(ctx, s.records.Do(ctx, r))
	}
	return repeatable(ctx, err)
}

// replaceSkipped replaces a final record. It waits until that is counted, so that the count
// of the new one can correct it. That is rare: the notification was sent after its claim had
// ended and another process had skipped it.
func (s *Store) replaceSkipped(ctx context.Context, r record) error {
	skipped := bson.M{"_id": r.ID, "state": string(domain.Skipped)}
	document, err := s.deliveries.FindOne(ctx, skipped).Raw()
	if err != nil {
		return repeatable(ctx, outage(ctx, err))
	}
	counted, err := s.deliveryCounter.awaitCounted(ctx, []bson.Raw{document})
	if err != nil {
		return err
	}
	if len(counted) == 0 {
		return fmt.Errorf("%w: the record is not counted yet", ports.ErrUnavailable)
	}
	r.Was = string(domain.Skipped)
	err = s.replacements.Do(ctx, replacement{r, bson.M{"state": r.Was, "sent_at": document.Lookup("sent_at")}})
	if errors.Is(err, errSomeUnmatched) {
		return fmt.Errorf("%w: the record changes at the same time", ports.ErrUnavailable)
	}
	return repeatable(ctx, err)
}

// repeatable returns the error of a write that the caller has to repeat, even if it
// is a duplicate.
func repeatable(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case isDuplicate(err):
		return fmt.Errorf("%w: %w", ports.ErrUnavailable, err)
	}
	return outage(ctx, err)
}

// errSomeUnmatched is returned for all replacements of a write if some filters
// selected nothing. The server only tells how many.
var errSomeUnmatched = errors.New("some records did not match")

// writeReplacements writes the replacements of several callers. Like insert, it
// takes at most half of a call's timeout.
func (s *Store) writeReplacements(ctx context.Context, replacements []replacement) []error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout/2)
	defer cancel()
	documents := make([]deliveryDocument, len(replacements))
	for i, r := range replacements {
		documents[i] = r.deliveryDocument
	}
	return s.countFinal(ctx, documents, func() []error {
		models := make([]mongo.WriteModel, len(replacements))
		for i, r := range replacements {
			filter := bson.M{"_id": r.ID}
			for name, value := range r.filter {
				filter[name] = value
			}
			models[i] = mongo.NewReplaceOneModel().SetFilter(filter).SetReplacement(documents[i])
		}
		result, err := s.deliveries.BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false))
		if err == nil && result.MatchedCount < int64(len(models)) {
			return slices.Repeat([]error{errSomeUnmatched}, len(models))
		}
		return splitError(len(models), err)
	})
}
