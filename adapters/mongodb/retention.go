package mongodb

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// Expire deletes notifications that do not wait and have not changed since before.
// See [ports.DeliveryLog].
// It leaves those that are not counted yet, such as old ones that were recorded within the
// last minute. If the process dies before the dead ones are counted as expired, up to limit
// are missing in Account.
//
// It deletes the claims first. If the process dies after that, the next call finds
// the same records. In the other order, claims would be left for ever.
func (d *Deliveries) Expire(ctx context.Context, before time.Time, limit int) (deleted int, err error) {
	defer describe(&err, "expire deliveries")
	ctx, cancel := d.store.bound(ctx)
	defer cancel()
	limit = min(max(limit, 1), ports.MaxListLimit)
	expired := bson.M{"sent_at": bson.M{"$lt": before}, "wait": bson.M{"$exists": false}}
	opts := first(limit, oldestSentFirst).SetProjection(bson.M{"_id": 1, "state": 1, "sent_at": 1, "late": 1})
	documents, err := find(ctx, d.store.deliveries, expired, opts)
	if err != nil || len(documents) == 0 {
		return 0, err
	}
	if documents, err = d.counted(ctx, documents); err != nil || len(documents) == 0 {
		return 0, err
	}
	dead := slices.DeleteFunc(slices.Clone(documents), func(document bson.Raw) bool {
		state, _ := document.Lookup("state").StringValueOK()
		return state != string(domain.Dead)
	})
	// A dead one may be claimed again, because its event was replayed: then it stays. Nobody
	// holds the others' claims.
	if len(dead) > 0 {
		claimed, err := find(ctx, d.store.claimed, bson.M{"_id": bson.M{"$in": idsOf(dead)}, "free_at": held(d.ClaimLease())},
			options.Find().SetProjection(bson.M{"_id": 1}))
		if err != nil {
			return 0, err
		}
		documents = slices.DeleteFunc(documents, func(document bson.Raw) bool {
			return slices.ContainsFunc(claimed, func(c bson.Raw) bool { return c.Lookup("_id").Equal(document.Lookup("_id")) })
		})
		if len(documents) == 0 {
			return 0, nil
		}
	}
	expired["_id"] = bson.M{"$in": idsOf(documents)}
	if _, err := d.store.claimed.DeleteMany(ctx, bson.M{"_id": expired["_id"]}); err != nil {
		return 0, fmt.Errorf("delete claims: %w", classify(ctx, err))
	}
	result, err := d.store.deliveries.DeleteMany(ctx, expired)
	if err != nil {
		return 0, fmt.Errorf("delete records: %w", classify(ctx, err))
	}
	if dead = dead[:min(len(dead), int(result.DeletedCount))]; len(dead) > 0 {
		err = d.store.countExpired(ctx, dead)
	}
	return int(result.DeletedCount), err
}

// counted returns those of the records that may be deleted: the dead ones, and the final
// ones that are counted.
func (d *Deliveries) counted(ctx context.Context, documents []bson.Raw) ([]bson.Raw, error) {
	isDead := func(document bson.Raw) bool {
		state, _ := document.Lookup("state").StringValueOK()
		return state == string(domain.Dead)
	}
	counted, err := d.store.deliveryCounter.awaitCounted(ctx, slices.DeleteFunc(slices.Clone(documents), isDead))
	return slices.DeleteFunc(documents, func(document bson.Raw) bool {
		return !isDead(document) && !slices.ContainsFunc(counted, func(c bson.Raw) bool { return c.Lookup("_id").Equal(document.Lookup("_id")) })
	}), err
}

// Forget removes what the log knows of the user. See [ports.DeliveryLog].
//
// It changes the records in batches, each with a timeout of its own. A changed record
// is not the user's any more, so the next call goes on where this one has ended.
func (d *Deliveries) Forget(ctx context.Context, userID string) (forgotten int, err error) {
	defer describe(&err, "forget a user's deliveries")
	if userID == "" {
		return 0, nil
	}
	for {
		found, changed, err := d.forgetSome(ctx, userID)
		forgotten += changed
		if err != nil || found < ports.MaxListLimit {
			return forgotten, err
		}
	}
}

// forgetSome changes some of the user's records. It returns how many it found, and how
// many it has changed: another call may have changed some of them first.
func (d *Deliveries) forgetSome(ctx context.Context, userID string) (found, changed int, err error) {
	ctx, cancel := d.store.bound(ctx)
	defer cancel()
	of := bson.M{"user_id": userID}
	documents, err := find(ctx, d.store.deliveries, of,
		options.Find().SetProjection(bson.M{"_id": 1}).SetLimit(ports.MaxListLimit).SetBatchSize(ports.MaxListLimit+1))
	if err != nil || len(documents) == 0 {
		return 0, 0, err
	}
	// A change of all answers fails where there are no attempts, so it needs a command
	// of its own. So does a notification that waits, because its state changes.
	ids := idsOf(documents)
	for _, waits := range []bool{true, false} {
		for _, attempted := range []bool{true, false} {
			set, unset := bson.M{}, bson.M{"user_id": "", "receiver": "", "reason": ""}
			if attempted {
				set["attempts.$[].answer"] = ""
			}
			now := time.Now()
			var final []time.Time
			if waits {
				set["state"], set["sent_at"], unset["wait"] = string(domain.Skipped), now, ""
				final = append(final, now)
			}
			err := d.store.deliveryCounter.count(ctx, final, 1, func(late func(time.Time) string) []error {
				if waits && late(now) != "" {
					set["late"] = late(now)
				}
				change := bson.M{"$unset": unset}
				if len(set) > 0 {
					change["$set"] = set
				}
				result, err := d.store.deliveries.UpdateMany(ctx, bson.M{
					"_id": bson.M{"$in": ids}, "user_id": userID,
					"wait": bson.M{"$exists": waits}, "attempts.0": bson.M{"$exists": attempted},
				}, change)
				if err == nil {
					changed += int(result.ModifiedCount)
				}
				return []error{err}
			})[0]
			if err != nil {
				return len(documents), changed, classify(ctx, err)
			}
		}
	}
	return len(documents), changed, nil
}
