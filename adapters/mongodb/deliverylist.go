package mongodb

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"example.com/orderflow/adapters/internal/cursor"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// List returns one page of notifications. See [ports.DeliveryLog].
func (d *Deliveries) List(ctx context.Context, query ports.NotificationQuery) (page ports.NotificationPage, err error) {
	defer describe(&err, "list deliveries")
	ctx, cancel := d.store.bound(ctx)
	defer cancel()
	filter, err := notificationFilter(query)
	if err != nil {
		return page, err
	}
	opts := options.Find().SetSort(latestSentFirst)
	if query.OrderID != "" {
		opts.SetSort(oldestSentFirst).SetHint(byID) // without the hint, some servers scan the whole index of times
	}
	found, err := findPage(ctx, d.store, d.store.deliveries, filter, opts, query.Limit, readNotification)
	if err != nil {
		return page, err
	}
	page.Notifications, page.Unreadable = found.records, found.skipped.Count
	if found.more {
		page.NextCursor = cursor.EncodeNotification(cursor.OfNotification(found.last()))
	}
	return page, nil
}

func notificationFilter(query ports.NotificationQuery) (bson.M, error) {
	filter := bson.M{}
	if query.OrderID != "" {
		// The index of ids finds an order's notifications, because their events' ids begin
		// with the order's id and a hyphen. "." follows "-" in ASCII.
		filter["_id"] = bson.M{
			"$gte": bson.M{"event_id": string(query.OrderID) + "-"},
			"$lt":  bson.M{"event_id": string(query.OrderID) + "."},
		}
	}
	if query.UserID != "" {
		filter["user_id"] = query.UserID
	}
	if query.Channel != "" {
		filter["_id.channel"] = query.Channel
	}
	if len(query.States) > 0 {
		filter["state"] = stateFilter(query.States)
	}
	at := bson.M{}
	if !query.From.IsZero() {
		at["$gte"] = query.From
	}
	if !query.To.IsZero() {
		at["$lt"] = query.To
	}
	if query.Cursor != "" {
		after, err := cursor.DecodeNotification(query.Cursor)
		if err != nil {
			return nil, err
		}
		// As in listFilter, the first condition is where an index scan starts. The others
		// exclude the notifications of earlier pages.
		id := idOfKey(after.Key)
		if query.OrderID != "" {
			at["$not"], at["$ne"] = bson.M{"$lt": after.At}, nil
			filter["$nor"] = bson.A{
				bson.M{"sent_at": bson.M{"$type": typesBefore("date")}},
				bson.M{"sent_at": after.At, "_id": bson.M{"$lte": id}},
			}
		} else {
			at["$not"] = bson.M{"$gt": after.At}
			filter["$nor"] = bson.A{
				bson.M{"sent_at": bson.M{"$type": typesAfter("date")}},
				bson.M{"sent_at": after.At, "_id": bson.M{"$gte": id}},
				bson.M{"sent_at": after.At, "_id": bson.M{"$type": typesAfter("object")}},
			}
		}
	}
	if len(at) > 0 {
		filter["sent_at"] = at
	}
	return filter, nil
}

// stateFilter selects records in one of the states. The sent ones have none.
func stateFilter(states []domain.NotificationState) bson.M {
	in, sent := bson.A{}, false
	for _, state := range states {
		if state == domain.Sent {
			sent = true
			continue
		}
		in = append(in, string(state))
	}
	switch {
	case !sent:
		return bson.M{"$in": in, "$exists": true} // as the index has it
	case len(in) == 0:
		return bson.M{"$exists": false}
	}
	return bson.M{"$in": append(in, nil)} // nil selects those without a state
}
