package mongodb

import (
	"context"
	"crypto/rand"
	"errors"
	"math"
	"slices"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"example.com/orderflow/domain"
)

const (
	// A write whose answer was lost may still be carried out for so long.
	lostWrite = time.Minute

	// sealPause is how long no new count is kept if no record is new.
	sealPause = time.Minute
)

// counter counts the final records of a collection, without reading all of them and
// without a write for each. A final record never changes, and is deleted only after it was
// counted.
//
// The document in the collection counts has the counts of all records up to a time, which
// one of the processes moves on. Newer records are counted by their index on that time.
// Each owner's sign of life has a floor: the owner writes only records that are newer. So
// the counts are kept up to the earliest floor. A process that dies leaves nothing
// uncounted, because it keeps no counts.
//
// An older record, such as one that is moved from another store, is late: it has a token,
// by which it is counted. The tokens that are not in the counts yet are in the document.
type counter struct {
	store      *Store
	collection *mongo.Collection
	at         string // the field with the time
	final      bson.M // selects the final records; nil: all
	group      any    // the key of each count

	mu      sync.Mutex
	joined  bool  // the floor is in the owner's document, and the counts don't go beyond it
	floor   int64 // Unix time in ms
	writes  map[*finalWrite]struct{}
	token   string              // for the next late record; empty: none yet
	open    map[string]struct{} // the tokens that this process has not counted
	orphans map[string]time.Time
	work    sync.Mutex // held while counts are kept
}

func newCounter(s *Store, c *mongo.Collection, at string, final bson.M, group any) *counter {
	return &counter{
		store: s, collection: c, at: at, final: final, group: group,
		writes: make(map[*finalWrite]struct{}), open: make(map[string]struct{}), orphans: make(map[string]time.Time),
	}
}

func (s *Store) newCounters() {
	s.orderCounter = newCounter(s, s.orders, "created_at", nil, nil)
	s.deliveryCounter = newCounter(s, s.deliveries, "sent_at", bson.M{"state": bson.M{"$in": bson.A{nil, string(domain.Skipped)}}},
		bson.M{"channel": "$_id.channel", "recipient": "$_id.recipient", "state": "$state", "was": "$was"})
}

func (s *Store) counters() []*counter { return []*counter{s.orderCounter, s.deliveryCounter} }

// tally is how many records there are of a kind.
type tally struct {
	Channel   string `bson:"channel,omitempty"`
	Recipient string `bson:"recipient,omitempty"`
	State     string `bson:"state,omitempty"` // none: sent
	N         int    `bson:"n"`
}

// lateToken is the token of late records that are not in the counts.
type lateToken struct {
	Token string `bson:"token"`
	Owner string `bson:"owner"`
}

// countsDocument has the counts of the records up to a time.
type countsDocument struct {
	Revision int         `bson:"rev"`
	Upto     time.Time   `bson:"upto"` // zero: none
	Tallies  []tally     `bson:"tallies"`
	Late     []lateToken `bson:"late"`
}

func (d countsDocument) tokens() (tokens bson.A) {
	for _, late := range d.Late {
		tokens = append(tokens, late.Token)
	}
	return tokens
}

// merge adds tallies.
func merge(all, more []tally) []tally {
	all = slices.Clone(all)
	for _, m := range more {
		same := func(t tally) bool {
			return t.Channel == m.Channel && t.Recipient == m.Recipient && t.State == m.State
		}
		if i := slices.IndexFunc(all, same); i >= 0 {
			all[i].N += m.N
		} else {
			all = append(all, m)
		}
	}
	return all
}

// finalWrite is a write of final records that may not have ended.
type finalWrite struct {
	counter *counter
	timely  bool
	floor   int64
	token   string
	oldest  int64     // of the records that are not late
	until   time.Time // its answer was lost; zero: it goes on
}

// begin prepares a write of final records of these times. The caller must call end.
func (c *counter) begin(ctx context.Context, times []time.Time) (*finalWrite, error) {
	w := &finalWrite{counter: c, oldest: math.MaxInt64}
	for {
		c.mu.Lock()
		w.timely, w.floor = c.joined && c.store.owner.isFresh(), c.floor
		late := false
		for _, at := range times {
			if w.isTimely(at) {
				w.oldest = min(w.oldest, at.UnixMilli())
			} else {
				late = true
			}
		}
		if !late || w.token != "" || w.timely && c.token != "" {
			if late && w.token == "" {
				w.token = c.token
			}
			c.writes[w] = struct{}{}
			c.mu.Unlock()
			return w, nil
		}
		c.mu.Unlock()
		token, err := c.newToken(ctx)
		if err != nil {
			return nil, err
		}
		w.token, w.oldest = token, math.MaxInt64
	}
}

// newToken stores a token, so that each process counts the records with it.
func (c *counter) newToken(ctx context.Context) (string, error) {
	token := rand.Text()
	c.mu.Lock()
	c.open[token] = struct{}{}
	reserved := &finalWrite{counter: c, token: token, oldest: math.MaxInt64, until: time.Now().Add(lostWrite)}
	c.writes[reserved] = struct{}{}
	c.mu.Unlock()
	_, err := c.store.counts.UpdateOne(ctx, bson.M{"_id": c.collection.Name()},
		bson.M{"$push": bson.M{"late": lateToken{token, c.store.owner.id}}, "$inc": bson.M{"rev": 1}}, options.UpdateOne().SetUpsert(true))
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.writes, reserved)
	if err != nil {
		return "", err
	}
	c.token = token
	return token, nil
}

func (w *finalWrite) isTimely(at time.Time) bool { return w.timely && at.UnixMilli() > w.floor }

// late returns the token for a record of that time, or none if it is not late.
func (w *finalWrite) late(at time.Time) string {
	if w.isTimely(at) {
		return ""
	}
	return w.token
}

// end ends the write. With an error, it may still be carried out.
func (w *finalWrite) end(errs ...error) {
	c := w.counter
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, err := range errs {
		if err != nil && !isDuplicate(err) && !errors.Is(err, errSomeUnmatched) {
			w.until = time.Now().Add(lostWrite)
			return
		}
	}
	delete(c.writes, w)
}

// nextFloor returns the floor for a sign of life.
func (c *counter) nextFloor(now time.Time, joining bool) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	floor := now.Add(-min(c.store.options.beat, beatInterval)).UnixMilli()
	for w := range c.writes {
		if !w.until.IsZero() && w.until.Before(now) {
			delete(c.writes, w)
			continue
		}
		floor = min(floor, w.oldest-1)
	}
	c.floor = max(c.floor, floor)
	c.joined = c.joined && !joining
	return time.UnixMilli(c.floor)
}

// join makes sure that nobody keeps counts beyond the floor, which is in the owner's document.
func (c *counter) join(ctx context.Context) error {
	document, err := c.store.counts.FindOneAndUpdate(ctx, bson.M{"_id": c.collection.Name()}, bson.M{"$inc": bson.M{"rev": 1}},
		options.FindOneAndUpdate().SetUpsert(true).SetReturnDocument(options.After)).Raw()
	if err != nil {
		return classify(ctx, err)
	}
	upto, _ := document.Lookup("upto").TimeOK()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.joined, c.floor = true, max(c.floor, upto.UnixMilli())
	return nil
}

// read returns the counts as they are kept.
func (c *counter) read(ctx context.Context) (counts countsDocument, err error) {
	err = c.store.counts.FindOne(ctx, bson.M{"_id": c.collection.Name()}).Decode(&counts)
	if err != nil && !errors.Is(err, mongo.ErrNoDocuments) {
		return counts, classify(ctx, err)
	}
	return counts, nil
}

// after selects the final records that are not late, and newer than the counts.
func (c *counter) after(counts countsDocument) bson.M {
	filter := bson.M{"late": bson.M{"$exists": false}, c.at: bson.M{"$gte": time.Time{}}}
	if !counts.Upto.IsZero() {
		filter[c.at] = bson.M{"$gt": counts.Upto}
	}
	for name, value := range c.final {
		filter[name] = value
	}
	return filter
}

// ofTokens selects the final records with these tokens.
func (c *counter) ofTokens(tokens bson.A) bson.M {
	return bson.M{"late": bson.M{"$exists": true, "$in": tokens}}
}

// tally counts the records.
func (c *counter) tally(ctx context.Context, filter bson.M) (tallies []tally, err error) {
	cursor, err := c.collection.Aggregate(ctx, bson.A{
		bson.M{"$match": filter}, bson.M{"$group": bson.M{"_id": c.group, "n": bson.M{"$sum": 1}}},
	})
	if err != nil {
		return nil, classify(ctx, err)
	}
	var groups []struct {
		ID struct {
			Tally tally  `bson:",inline"`
			Was   string `bson:"was"`
		} `bson:"_id"`
		N int `bson:"n"`
	}
	if err := cursor.All(ctx, &groups); err != nil {
		return nil, classify(ctx, err)
	}
	for _, g := range groups {
		t := g.ID.Tally
		t.N = g.N
		tallies = merge(tallies, []tally{t})
		if g.ID.Was != "" {
			t.State, t.N = g.ID.Was, -g.N
			tallies = merge(tallies, []tally{t})
		}
	}
	return tallies, nil
}

// uncounted counts the records that the counts don't have.
func (c *counter) uncounted(ctx context.Context, counts countsDocument) ([]tally, error) {
	tallies, err := c.tally(ctx, c.after(counts))
	if err != nil || len(counts.Late) == 0 {
		return tallies, err
	}
	late, err := c.tally(ctx, c.ofTokens(counts.tokens()))
	return merge(tallies, late), err
}

// keep counts the late records of this process that are written, and, if it leads, all
// records up to the earliest floor.
func (c *counter) keep(ctx context.Context, leads bool) error {
	if !c.work.TryLock() {
		return nil
	}
	defer c.work.Unlock()
	tokens := c.ended()
	counts, err := c.read(ctx) // before the owners, see join
	if err != nil {
		return err
	}
	floor := counts.Upto
	if leads {
		if floor, tokens, err = c.lead(ctx, counts, tokens); err != nil {
			return err
		}
	}
	next := countsDocument{Upto: counts.Upto, Tallies: counts.Tallies, Late: []lateToken{}}
	var folded bson.A
	for _, late := range counts.Late {
		if slices.Contains(tokens, late.Token) {
			folded = append(folded, late.Token)
		} else {
			next.Late = append(next.Late, late)
		}
	}
	if len(folded) > 0 {
		late, err := c.tally(ctx, c.ofTokens(folded))
		if err != nil {
			return err
		}
		next.Tallies = merge(next.Tallies, late)
	}
	if floor.After(counts.Upto) {
		filter := c.after(counts)
		filter[c.at].(bson.M)["$lte"] = floor
		newer, err := c.tally(ctx, filter)
		if err != nil {
			return err
		}
		if len(newer) > 0 || floor.Sub(counts.Upto) > sealPause {
			next.Tallies, next.Upto = merge(next.Tallies, newer), floor
		}
	}
	if len(folded) > 0 || next.Upto.After(counts.Upto) {
		set := bson.M{"tallies": next.Tallies, "late": next.Late}
		if !next.Upto.IsZero() {
			set["upto"] = next.Upto
		}
		result, err := c.store.counts.UpdateOne(ctx, bson.M{"_id": c.collection.Name(), "rev": counts.Revision},
			bson.M{"$set": set, "$inc": bson.M{"rev": 1}})
		if err != nil {
			return classify(ctx, err)
		}
		if result.MatchedCount == 0 {
			return nil // another process has kept counts; the next call tries again
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, token := range tokens {
		delete(c.open, token)
	}
	return nil
}

// ended returns the tokens of this process whose writes have ended. The next late
// record gets another token.
func (c *counter) ended() (tokens []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.token = ""
	for token := range c.open {
		used := false
		for w := range c.writes {
			used = used || w.token == token
		}
		if !used {
			tokens = append(tokens, token)
		}
	}
	return tokens
}

// lead returns the earliest floor, or the time of the counts if an owner has none, and
// the tokens with those of owners that ended.
func (c *counter) lead(ctx context.Context, counts countsDocument, tokens []string) (time.Time, []string, error) {
	owners, err := find(ctx, c.store.owners, bson.M{}, options.Find())
	if err != nil {
		return counts.Upto, nil, err
	}
	floor := counts.Upto
	known := make(map[string]bool)
	for i, owner := range owners {
		id, _ := owner.Lookup("_id").StringValueOK()
		known[id] = true
		at, ok := owner.Lookup("floors", c.collection.Name()).TimeOK()
		if !ok { // it is of an earlier version
			at = counts.Upto
		}
		if i == 0 || at.Before(floor) {
			floor = at
		}
	}
	seen := make(map[string]time.Time)
	for _, late := range counts.Late {
		if known[late.Owner] {
			continue
		}
		since, ok := c.orphans[late.Token]
		if !ok {
			since = time.Now()
		}
		seen[late.Token] = since
		if time.Since(since) > lostWrite {
			tokens = append(tokens, late.Token)
		}
	}
	c.orphans = seen
	return floor, tokens, nil
}

// awaitCounted returns those of the records that are in the counts. It waits some time for
// the others, because a record is counted soon after it was written.
func (c *counter) awaitCounted(ctx context.Context, documents []bson.Raw) ([]bson.Raw, error) {
	ctx, cancel := context.WithTimeout(ctx, c.store.timeout*3/4)
	defer cancel()
	for {
		counts, err := c.read(ctx)
		if err != nil {
			return nil, err
		}
		counted := slices.DeleteFunc(slices.Clone(documents), func(d bson.Raw) bool { return !c.has(counts, d) })
		if len(counted) == len(documents) {
			return counted, nil
		}
		if err := c.keep(ctx, true); err != nil && ctx.Err() == nil {
			return nil, err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return counted, nil
		}
	}
}

// has reports whether the record is in the counts.
func (c *counter) has(counts countsDocument, document bson.Raw) bool {
	if token, late := document.Lookup("late").StringValueOK(); late {
		return !slices.Contains(counts.tokens(), any(token))
	}
	at, _ := document.Lookup(c.at).TimeOK()
	return !at.After(counts.Upto)
}

// count calls write, which writes n final records of these times, and makes the late ones
// have their token.
func (c *counter) count(
	ctx context.Context, times []time.Time, n int, write func(late func(time.Time) string) []error,
) []error {
	if len(times) == 0 {
		return write(nil)
	}
	beginning, cancel := context.WithTimeout(ctx, c.store.timeout/2)
	defer cancel()
	w, err := c.begin(beginning, times)
	if err != nil {
		return slices.Repeat([]error{err}, n)
	}
	errs := write(w.late)
	w.end(errs...)
	return errs
}
