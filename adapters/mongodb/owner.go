package mongodb

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

const (
	beatInterval = 2 * time.Second

	// An owner has ended if this many readings in a row, after a first one, find its
	// document unchanged. A reading counts only after a successful beat of the
	// reader, so an outage of the store ends no owner.
	missedBeats = 4
)

// owner is an open store as the owner of claims. Each round writes a sign of life,
// a beat, to its document in the collection owners, then ends the owners whose
// documents show none. The package documentation describes the rules.
type owner struct {
	store *Store
	id    string
	beats int
	last  atomic.Pointer[time.Time] // when the last successful beat began
	seen  map[string]sighting       // in the last round, by id

	cancel context.CancelFunc
	done   sync.WaitGroup
}

// sighting is an owner's document as a round found it.
type sighting struct {
	document  bson.Raw
	unchanged int // rounds in a row that found it unchanged
}

// newOwner returns an owner after its first round. The rounds go on until close.
func newOwner(ctx context.Context, s *Store) (*owner, error) {
	o := &owner{store: s, id: rand.Text()}
	if err := o.round(ctx); err != nil {
		return nil, err
	}
	ctx, o.cancel = context.WithCancel(context.WithoutCancel(ctx))
	o.done.Go(func() {
		for {
			select {
			case <-time.After(s.options.beat):
				if o.round(ctx) == nil { // the store's callers report an outage
					o.keepCounts(ctx)
				}
			case <-ctx.Done():
				return
			}
		}
	})
	return o, nil
}

// stop ends the beats.
func (o *owner) stop() {
	o.cancel()
	o.done.Wait()
}

// close ends the beats and the owner's claims. If the store does not answer,
// another process ends them later.
func (o *owner) close(ctx context.Context) {
	o.stop()
	if !o.isFresh() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, o.store.options.beat/2)
	defer cancel()
	_ = o.end(ctx, o.id, bson.M{"_id": o.id})
}

// bound limits how long a round takes and a beat is fresh, so that other processes
// see the next beat in time.
func (o *owner) bound() time.Duration { return missedBeats / 2 * o.store.options.beat }

func (o *owner) isFresh() bool { return time.Since(*o.last.Load()) <= o.bound() }

// token returns a new token for claims. Without a fresh beat it names no owner, so
// that the claims last for their whole lease.
func (o *owner) token() string {
	if !o.isFresh() {
		return rand.Text()
	}
	return o.id + "." + rand.Text()
}

// round beats, reads the other owners' documents, and ends those that have not
// changed for too long. After an error the count starts again.
func (o *owner) round(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, o.bound())
	defer cancel()
	before := o.seen
	o.seen = nil
	if err := o.beat(ctx); err != nil {
		return err
	}
	documents, err := find(ctx, o.store.owners, bson.M{"_id": bson.M{"$ne": o.id}}, options.Find())
	if err != nil {
		return fmt.Errorf("read signs of life: %w", err)
	}
	seen := make(map[string]sighting)
	for _, document := range documents {
		id, ok := document.Lookup("_id").StringValueOK()
		if !ok {
			continue
		}
		now := sighting{document: document}
		if last := before[id]; bytes.Equal(last.document, document) {
			now.unchanged = last.unchanged + 1
		}
		seen[id] = now
		if now.unchanged >= missedBeats {
			_ = o.end(ctx, id, document) // if it fails, the next round tries again
		}
	}
	o.seen = seen
	return nil
}

// keepCounts starts to keep counts. It takes long only where many records have no count
// yet, as those of an earlier version. The owner with the first id counts for all.
func (o *owner) keepCounts(ctx context.Context) {
	leads := true
	for id := range o.seen {
		leads = leads && o.id < id
	}
	for _, c := range o.store.counters() {
		o.done.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, indexTimeout)
			defer cancel()
			_ = c.keep(ctx, leads) // the next round tries again
		})
	}
}

// beat takes at most one pause, so that after a lost beat the next comes in time.
func (o *owner) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, o.store.options.beat)
	defer cancel()
	now := time.Now()
	o.beats++
	joining := o.last.Load() == nil || !o.isFresh()
	floors := bson.M{}
	for _, c := range o.store.counters() {
		floors[c.collection.Name()] = c.nextFloor(now, joining)
	}
	_, err := o.store.owners.UpdateOne(ctx, bson.M{"_id": o.id},
		bson.M{"$set": bson.M{"beats": o.beats, "at": now, "floors": floors}}, options.UpdateOne().SetUpsert(true))
	if err != nil {
		return fmt.Errorf("write sign of life: %w", classify(ctx, err))
	}
	if joining {
		for _, c := range o.store.counters() {
			if err := c.join(ctx); err != nil {
				return fmt.Errorf("join the count of %s: %w", c.collection.Name(), err)
			}
		}
	}
	o.last.Store(&now)
	return nil
}

// end frees the events and the waiting notifications that an owner has claimed. Then
// it deletes the owner's document, if that is unchanged, which frees its other claims.
// Several processes may end the same owner at once, or repeatedly.
func (o *owner) end(ctx context.Context, id string, document any) error {
	now := time.Now()
	claims := bson.M{"$gt": id + ".", "$lt": id + "/"} // "/" follows "."
	freed, err := o.store.orders.UpdateMany(ctx,
		bson.M{
			"outbox.free_at": bson.M{"$exists": true, "$gt": now},
			"outbox.claim":   claims,
		},
		freeFrom(now))
	if err != nil {
		return fmt.Errorf("free events: %w", classify(ctx, err))
	}
	waiting, err := o.store.deliveries.UpdateMany(ctx, bson.M{"wait.claim.token": claims}, dropClaim)
	if err != nil {
		return fmt.Errorf("free notifications: %w", classify(ctx, err))
	}
	deleted, err := o.store.owners.DeleteOne(ctx, document)
	if err != nil {
		return fmt.Errorf("delete sign of life: %w", classify(ctx, err))
	}
	if id != o.id && freed.ModifiedCount+waiting.ModifiedCount+deleted.DeletedCount > 0 {
		o.store.options.Logger.WarnContext(ctx, "a process ended without closing its store; its claims are free",
			"owner", id, "events_freed", freed.ModifiedCount, "notifications_freed", waiting.ModifiedCount)
	}
	return nil
}

// hasEnded reports whether the token names an owner that has ended. Tokens of
// earlier versions name no owner.
func (o *owner) hasEnded(ctx context.Context, token string) (bool, error) {
	id, _, named := strings.Cut(token, ".")
	if !named {
		return false, nil
	}
	err := o.store.owners.FindOne(ctx, bson.M{"_id": id}).Err()
	if errors.Is(err, mongo.ErrNoDocuments) {
		return true, nil
	}
	if err != nil {
		return false, classify(ctx, err)
	}
	return false, nil
}
