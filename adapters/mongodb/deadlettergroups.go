package mongodb

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"example.com/orderflow/adapters/internal/accounts"
	"example.com/orderflow/ports"
)

// Groups implements [ports.DeadLetters]. Letters that an earlier version has stored are in
// groups without a reason until they fail again.
func (d *DeadLetters) Groups(ctx context.Context, query ports.DeadLetterQuery) (_ ports.DeadLetterGroups, err error) {
	defer describe(&err, "group dead letters")
	ctx, cancel := d.store.bound(ctx)
	defer cancel()
	query.Cursor = ""
	filter, err := letterFilter(query)
	if err != nil {
		return ports.DeadLetterGroups{}, err
	}
	var counted []struct {
		ID struct {
			Subscription string `bson:"subscription"`
			Reason       string `bson:"reason"`
		} `bson:"_id"`
		N      int       `bson:"n"`
		Oldest time.Time `bson:"oldest"`
		Newest time.Time `bson:"newest"`
	}
	err = aggregate(ctx, d.store.deadLetters, &counted, filter, bson.M{
		"_id": bson.M{"subscription": "$subscription", "reason": "$reason_group"},
		"n":   bson.M{"$sum": 1}, "oldest": bson.M{"$min": "$since"}, "newest": bson.M{"$max": "$since"},
	})
	if err != nil {
		return ports.DeadLetterGroups{}, err
	}
	groups := make(accounts.Groups)
	for _, c := range counted {
		groups.Add(ports.DeadLetterGroup{
			Subscription: c.ID.Subscription, Reason: c.ID.Reason, Count: c.N, Oldest: c.Oldest.UTC(), Newest: c.Newest.UTC(),
		})
	}
	return groups.Largest(), nil
}
