package mongodb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"example.com/orderflow/adapters/internal/accounts"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// Account implements [ports.Outbox]. An order's document is the event that waits, or that is
// published, so it counts the published ones as the orders whose event does not wait.
func (o *Orders) Account(ctx context.Context) (account ports.OutboxAccount, err error) {
	defer describe(&err, "count orders")
	ctx, cancel := o.store.bound(ctx)
	defer cancel()
	counter := o.store.orderCounter
	for range accountTries {
		counts, err := counter.read(ctx)
		if err != nil {
			return account, err
		}
		waiting, err := o.waiting(ctx) // before the orders, which don't become fewer
		if err != nil {
			return account, err
		}
		newer, err := counter.uncounted(ctx, counts)
		if err != nil {
			return account, err
		}
		account = ports.OutboxAccount{Waiting: waiting}
		for _, t := range merge(counts.Tallies, newer) {
			account.Orders += t.N
		}
		account.Published = account.Orders - account.Waiting.N
		if again, err := o.waiting(ctx); err != nil || again == waiting {
			return account, err
		}
	}
	return account, nil
}

// accountTries is how often an account is read again if something changes at the same time.
const accountTries = 3

// waiting counts the events in the outbox, by its index.
func (o *Orders) waiting(ctx context.Context) (waiting ports.Backlog, err error) {
	var found []backlogDocument
	err = aggregate(ctx, o.store.orders, &found, bson.M{"outbox.free_at": bson.M{"$exists": true}},
		bson.M{"_id": nil, "n": bson.M{"$sum": 1}, "oldest": bson.M{"$min": "$created_at"}})
	if err != nil || len(found) == 0 {
		return waiting, err
	}
	return found[0].backlog(), nil
}

// backlogDocument is how many records wait.
type backlogDocument struct {
	ID     tally     `bson:"_id"`
	N      int       `bson:"n"`
	Oldest time.Time `bson:"oldest"`
}

func (d backlogDocument) backlog() ports.Backlog {
	return ports.Backlog{N: d.N, Oldest: d.Oldest.UTC()}
}

// aggregate groups the documents that match.
func aggregate(ctx context.Context, c *mongo.Collection, groups any, match, group bson.M) error {
	cursor, err := c.Aggregate(ctx, bson.A{bson.M{"$match": match}, bson.M{"$group": group}})
	if err == nil {
		err = cursor.All(ctx, groups)
	}
	if err != nil {
		return classify(ctx, err)
	}
	return nil
}

// total is a counter of what the collections don't have any more.
type total struct {
	What  string `bson:"what"`
	Of    string `bson:"of"`    // the channel or subscription
	Whose string `bson:"whose"` // the recipient, or the kind of letters
}

func (s *Store) totals() *mongo.Collection { return s.deadLetters.Database().Collection("totals") }

func (s *Store) countTotal(ctx context.Context, t total, by int) error {
	_, err := s.totals().UpdateOne(ctx, bson.M{"_id": t}, bson.M{"$inc": bson.M{"n": by}}, options.UpdateOne().SetUpsert(true))
	if err != nil {
		return fmt.Errorf("count: %w", classify(ctx, err))
	}
	return nil
}

// eachTotal calls f with each counter.
func (s *Store) eachTotal(ctx context.Context, f func(t total, n int)) error {
	found, err := find(ctx, s.totals(), bson.M{}, options.Find())
	for _, document := range found {
		var counter struct {
			ID total `bson:"_id"`
			N  int   `bson:"n"`
		}
		if bson.Unmarshal(document, &counter) == nil {
			f(counter.ID, counter.N)
		}
	}
	return err
}

// countExpired counts the records, which were deleted.
func (s *Store) countExpired(ctx context.Context, deleted []bson.Raw) error {
	counts := make(map[total]int)
	for _, document := range deleted {
		state, _ := document.Lookup("state").StringValueOK()
		channel, _ := document.Lookup("_id", "channel").StringValueOK()
		recipient, _ := document.Lookup("_id", "recipient").StringValueOK()
		counts[total{"expired " + cmp.Or(state, string(domain.Sent)), channel, recipient}]++
	}
	for t, n := range counts {
		if err := s.countTotal(ctx, t, n); err != nil {
			return err
		}
	}
	return nil
}

// since is when the notification got into its state, as [domain.Notification.Since].
var since = bson.M{"$cond": bson.A{
	bson.M{"$eq": bson.A{"$state", string(domain.Retrying)}},
	bson.M{"$ifNull": bson.A{"$first", bson.M{"$arrayElemAt": bson.A{"$attempts.at", 0}}, "$sent_at"}},
	"$sent_at",
}}

// Account implements [ports.DeliveryLog]. It counts what waits before what is final, in the
// direction in which notifications move: one that is sent at the same time is counted twice
// and not missed. The next call counts it right.
func (d *Deliveries) Account(ctx context.Context) (all []ports.DeliveryAccount, err error) {
	defer describe(&err, "count deliveries")
	ctx, cancel := d.store.bound(ctx)
	defer cancel()
	recipients := make(accounts.Deliveries)
	var waiting []backlogDocument
	err = aggregate(ctx, d.store.deliveries, &waiting,
		bson.M{"state": bson.M{"$exists": true, "$in": bson.A{string(domain.Retrying), string(domain.Held), string(domain.Dead)}}},
		bson.M{
			"_id": bson.M{"channel": "$_id.channel", "recipient": "$_id.recipient", "state": "$state"},
			"n":   bson.M{"$sum": 1}, "oldest": bson.M{"$min": since},
		})
	if err != nil {
		return nil, err
	}
	for _, w := range waiting {
		recipients.Wait(w.ID.Channel, w.ID.Recipient, domain.NotificationState(w.ID.State), w.backlog())
	}
	counter := d.store.deliveryCounter
	counts, err := counter.read(ctx)
	if err != nil {
		return nil, err
	}
	newer, err := counter.uncounted(ctx, counts)
	if err != nil {
		return nil, err
	}
	for _, t := range merge(counts.Tallies, newer) {
		switch account := recipients.Of(t.Channel, t.Recipient); domain.NotificationState(t.State) {
		case domain.Skipped:
			account.Skipped += t.N
		default:
			account.Sent += t.N
		}
	}
	err = d.store.eachTotal(ctx, func(t total, n int) {
		if t.What == "expired dead" {
			recipients.Of(t.Of, t.Whose).Expired += n
		}
	})
	return recipients.Sorted(), err
}

// countLetter counts the letter in a new state. Letters that wait are not counted.
func (s *Store) countLetter(ctx context.Context, id, subscription string, from, to ports.DeadLetterState) error {
	kind := "event"
	if accounts.Unreadable(id) {
		kind = "other"
	}
	for state, by := range map[ports.DeadLetterState]int{from: -1, to: 1} {
		if from == to || state != ports.Replayed && state != ports.Discarded {
			continue
		}
		if err := s.countTotal(ctx, total{string(state), subscription, kind}, by); err != nil {
			return err
		}
	}
	return nil
}

// stateOf returns the letter's state, or none, and when it failed the last time.
func (d *DeadLetters) stateOf(ctx context.Context, id string) (state ports.DeadLetterState, subscription string, latest time.Time, err error) {
	document, err := d.store.deadLetters.FindOne(ctx, retainedWithID(time.Now(), id)).Raw()
	if errors.Is(err, mongo.ErrNoDocuments) {
		return "", "", latest, nil
	}
	if err != nil {
		return "", "", latest, classify(ctx, err)
	}
	text, _ := document.Lookup("state").StringValueOK()
	subscription, _ = document.Lookup("subscription").StringValueOK()
	if failures, ok := document.Lookup("failures").ArrayOK(); ok {
		if values, err := failures.Values(); err == nil && len(values) > 0 { // sorted
			newest, _ := values[len(values)-1].DocumentOK()
			latest, _ = newest.Lookup("last_failure").TimeOK()
		}
	}
	return ports.DeadLetterState(text), subscription, latest, nil
}

// Account implements [ports.DeadLetters].
func (d *DeadLetters) Account(ctx context.Context) (all []ports.DeadLetterAccount, err error) {
	defer describe(&err, "count dead letters")
	ctx, cancel := d.store.bound(ctx)
	defer cancel()
	subscriptions := make(accounts.Letters)
	waiting, err := find(ctx, d.store.deadLetters, bson.M{"state": string(ports.Waiting)},
		options.Find().SetProjection(bson.M{"_id": 1, "subscription": 1, "since": 1}))
	if err != nil {
		return nil, err
	}
	for _, document := range waiting {
		id, _ := document.Lookup("_id").StringValueOK()
		subscription, _ := document.Lookup("subscription").StringValueOK()
		since, _ := document.Lookup("since").TimeOK()
		b := &subscriptions.Of(subscription, accounts.Unreadable(id)).Waiting
		if b.N++; b.N == 1 || since.Before(b.Oldest) {
			b.Oldest = since.UTC()
		}
	}
	err = d.store.eachTotal(ctx, func(t total, n int) {
		subscriptions.Settle(t.Of, t.Whose == "other", ports.DeadLetterState(t.What), n)
	})
	return subscriptions.Sorted(), err
}

// openingDocument is when a recipient's account was opened.
type openingDocument struct {
	ID        openingID `bson:"_id"`
	At        time.Time `bson:"at"`
	Before    int       `bson:"before"`
	Uncertain int       `bson:"uncertain,omitempty"`
}

type openingID struct {
	Channel   string `bson:"channel"`
	Recipient string `bson:"recipient"`
}

func (s *Store) openings() *mongo.Collection { return s.channels.Database().Collection("openings") }

// Openings implements [ports.ChannelStates].
func (c *ChannelStates) Openings(ctx context.Context) (openings []ports.Opening, err error) {
	defer describe(&err, "read openings")
	ctx, cancel := c.store.bound(ctx)
	defer cancel()
	found, err := find(ctx, c.store.openings(), bson.M{}, options.Find())
	if err != nil {
		return nil, err
	}
	for _, document := range found {
		var d openingDocument
		if err := bson.Unmarshal(document, &d); err != nil {
			continue
		}
		openings = append(openings, ports.Opening{
			Channel: d.ID.Channel, Recipient: d.ID.Recipient, At: d.At.UTC(), Before: d.Before, Uncertain: d.Uncertain,
		})
	}
	slices.SortFunc(openings, func(a, b ports.Opening) int {
		return cmp.Or(strings.Compare(a.Channel, b.Channel), strings.Compare(a.Recipient, b.Recipient))
	})
	return openings, nil
}

// Open implements [ports.ChannelStates].
func (c *ChannelStates) Open(ctx context.Context, o ports.Opening) (err error) {
	defer describe(&err, "open %s %s", o.Channel, o.Recipient)
	ctx, cancel := c.store.bound(ctx)
	defer cancel()
	d := openingDocument{openingID{o.Channel, o.Recipient}, o.At, o.Before, o.Uncertain}
	_, err = c.store.openings().InsertOne(ctx, d)
	switch {
	case isDuplicate(err):
		return ports.ErrExists
	case err != nil:
		return classify(ctx, err)
	}
	return nil
}

// Close implements [ports.ChannelStates].
func (c *ChannelStates) Close(ctx context.Context, channel, recipient string) (err error) {
	defer describe(&err, "close %s %s", channel, recipient)
	ctx, cancel := c.store.bound(ctx)
	defer cancel()
	if _, err := c.store.openings().DeleteOne(ctx, bson.M{"_id": openingID{channel, recipient}}); err != nil {
		return classify(ctx, err)
	}
	return nil
}

// Holder implements [ports.Outbox].
func (o *Orders) Holder(ctx context.Context, id domain.EventID) (holder ports.Holder, err error) {
	defer describe(&err, "find event %s", id)
	ctx, cancel := o.store.bound(ctx)
	defer cancel()
	order, _ := id.OrderID()
	document, err := o.store.orders.FindOne(ctx, bson.M{"_id": string(order), "outbox": bson.M{"$exists": true}}).Raw()
	if errors.Is(err, mongo.ErrNoDocuments) {
		return holder, ports.ErrNotFound
	}
	if err != nil {
		return holder, classify(ctx, err)
	}
	now := time.Now()
	until, _ := document.Lookup("outbox", "free_at").TimeOK()
	if until.After(now) && !until.After(now.Add(o.ClaimLease()+ports.MaxReleaseDelay)) {
		holder = holderOf(document.Lookup("outbox", "claim"), until)
	}
	return holder, nil
}

// Holder implements [ports.DeliveryLog].
func (d *Deliveries) Holder(ctx context.Context, key domain.NotificationKey) (holder ports.Holder, err error) {
	defer describe(&err, "find the claim on %s by %s", key, key.Channel)
	ctx, cancel := d.store.bound(ctx)
	defer cancel()
	inForce := held(d.ClaimLease())
	for _, place := range []struct {
		in     *mongo.Collection
		filter bson.M
		path   []string
	}{
		{d.store.deliveries, bson.M{"_id": idOfKey(key), "wait.claim.free_at": inForce}, []string{"wait", "claim"}},
		{d.store.claimed, bson.M{"_id": idOfKey(key), "free_at": inForce}, nil},
	} {
		document, err := place.in.FindOne(ctx, place.filter).Raw()
		if errors.Is(err, mongo.ErrNoDocuments) {
			if waits, err := d.waits(ctx, key); err != nil || waits {
				return ports.Holder{}, err // its first claim does not count any more
			}
			continue
		}
		if err != nil {
			return ports.Holder{}, classify(ctx, err)
		}
		until, _ := document.Lookup(append(place.path, "free_at")...).TimeOK()
		return holderOf(document.Lookup(append(place.path, "token")...), until), nil
	}
	return ports.Holder{}, nil
}

// waits reports whether the notification is recorded in a state but Dead.
func (d *Deliveries) waits(ctx context.Context, key domain.NotificationKey) (bool, error) {
	n, found, err := d.store.findNotification(ctx, idOfKey(key))
	return found && n.State != domain.Dead, err
}

// holderOf returns the holder with that token, which begins with the owner's id.
func holderOf(token bson.RawValue, until time.Time) ports.Holder {
	text, _ := token.StringValueOK()
	owner, _, _ := strings.Cut(text, ".")
	return ports.Holder{Process: owner, Until: domain.TruncateTime(until)}
}
