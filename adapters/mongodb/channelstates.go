package mongodb

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"example.com/orderflow/adapters/internal/records"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// ChannelStates keeps the notifiers' channels and their pauses, one document for
// each. Every call but Register writes by one command, so no crash leaves a change half
// done.
type ChannelStates struct{ store *Store }

var _ ports.ChannelStates = (*ChannelStates)(nil)

// ChannelStates returns the channels and their pauses.
func (s *Store) ChannelStates() *ChannelStates { return &s.parts.states }

// Register adds the channels. See [ports.ChannelStates].
func (c *ChannelStates) Register(ctx context.Context, names ...string) (all []string, err error) {
	defer describe(&err, "register channels %s", strings.Join(names, ", "))
	ctx, cancel := c.store.bound(ctx)
	defer cancel()
	if all, err = c.names(ctx); err != nil {
		return nil, err
	}
	var missing []any
	for _, name := range names {
		if _, known := slices.BinarySearch(all, name); !known {
			missing = append(missing, bson.M{"_id": name})
		}
	}
	if len(missing) == 0 {
		return all, nil
	}
	_, err = c.store.channels.InsertMany(ctx, missing, options.InsertMany().SetOrdered(false))
	for _, err := range splitError(len(missing), err) {
		if err != nil && !isDuplicate(err) { // a duplicate was added at the same time
			return nil, classify(ctx, err)
		}
	}
	return c.names(ctx)
}

func (c *ChannelStates) names(ctx context.Context) ([]string, error) {
	documents, err := find(ctx, c.store.channels, bson.M{}, options.Find())
	if err != nil {
		return nil, err
	}
	var names []string
	for _, document := range documents {
		if name, ok := document.Lookup("_id").StringValueOK(); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Forget removes the name. See [ports.ChannelStates].
func (c *ChannelStates) Forget(ctx context.Context, name string) (err error) {
	defer describe(&err, "forget channel %s", name)
	ctx, cancel := c.store.bound(ctx)
	defer cancel()
	if _, err := c.store.openings().DeleteMany(ctx, bson.M{"_id.channel": name}); err != nil {
		return classify(ctx, err)
	}
	if _, err := c.store.channels.DeleteOne(ctx, bson.M{"_id": name}); err != nil {
		return classify(ctx, err)
	}
	return nil
}

// Pauses returns all pauses. See [ports.ChannelStates]. It skips and logs documents
// that it can't read.
func (c *ChannelStates) Pauses(ctx context.Context) (_ []ports.Pause, err error) {
	defer describe(&err, "read pauses")
	ctx, cancel := c.store.bound(ctx)
	defer cancel()
	documents, err := find(ctx, c.store.pauses, bson.M{}, options.Find())
	if err != nil {
		return nil, err
	}
	all := readPage(slices.Values(documents), len(documents), readPause)
	all.skipped.log(ctx, c.store.options.Logger, c.store.pauses)
	slices.SortFunc(all.records, func(a, b ports.Pause) int {
		return cmp.Or(cmp.Compare(a.Channel, b.Channel), cmp.Compare(a.Receiver, b.Receiver))
	})
	return all.records, nil
}

// Pause stores the pause. See [ports.ChannelStates].
func (c *ChannelStates) Pause(ctx context.Context, pause ports.Pause) (err error) {
	defer describe(&err, "pause %s %s", pause.Channel, pause.Receiver)
	ctx, cancel := c.store.bound(ctx)
	defer cancel()
	_, err = c.store.pauses.InsertOne(ctx, newPauseDocument(pause))
	switch {
	case err == nil:
		return nil
	case isDuplicate(err):
		return ports.ErrExists
	}
	return classify(ctx, err)
}

// Change replaces a pause. See [ports.ChannelStates].
func (c *ChannelStates) Change(ctx context.Context, before, after ports.Pause) (err error) {
	defer describe(&err, "change the pause of %s %s", before.Channel, before.Receiver)
	if before.PauseKey != after.PauseKey {
		return fmt.Errorf("the new pause is of %s %s", after.Channel, after.Receiver)
	}
	ctx, cancel := c.store.bound(ctx)
	defer cancel()
	result, err := c.store.pauses.ReplaceOne(ctx, newPauseDocument(before).filter(), newPauseDocument(after))
	switch {
	case err != nil:
		return classify(ctx, err)
	case result.MatchedCount == 0:
		return ports.ErrChanged
	}
	return nil
}

// End removes the pause. See [ports.ChannelStates].
func (c *ChannelStates) End(ctx context.Context, before ports.Pause) (err error) {
	defer describe(&err, "end the pause of %s %s", before.Channel, before.Receiver)
	ctx, cancel := c.store.bound(ctx)
	defer cancel()
	p := newPauseDocument(before)
	result, err := c.store.pauses.DeleteOne(ctx, p.filter())
	if err != nil {
		return classify(ctx, err)
	}
	if result.DeletedCount > 0 {
		return nil
	}
	others, err := find(ctx, c.store.pauses, bson.M{"_id": p.ID}, options.Find())
	if err == nil && len(others) > 0 {
		return ports.ErrChanged
	}
	return err
}

// pauseID must keep the order of its fields, because the server compares it byte by
// byte.
type pauseID struct {
	Channel  string `bson:"channel"`
	Receiver string `bson:"receiver"`
}

type pauseDocument struct {
	ID     pauseID   `bson:"_id"`
	Kind   string    `bson:"kind"`
	Reason string    `bson:"reason"`
	By     string    `bson:"by"`
	Since  time.Time `bson:"since"`
	Probe  any       `bson:"probe"` // a time, or null
	Probes int       `bson:"probes"`
}

func newPauseDocument(p ports.Pause) pauseDocument {
	d := pauseDocument{
		ID: pauseID{p.Channel, p.Receiver}, Kind: string(p.Kind), Reason: records.ValidText(p.Reason), By: records.ValidText(p.By),
		Since: p.Since, Probes: p.Probes,
	}
	if !p.Probe.IsZero() {
		d.Probe = p.Probe
	}
	return d
}

// filter selects the document if all of its fields are the same.
func (d pauseDocument) filter() bson.M {
	return bson.M{
		"_id": d.ID, "kind": d.Kind, "reason": d.Reason, "by": d.By, "since": d.Since, "probe": d.Probe, "probes": d.Probes,
	}
}

func readPause(document bson.Raw) (ports.Pause, error) {
	r := &reader{doc: document}
	id := subdocument(r, "_id")
	p := ports.Pause{
		PauseKey: domain.PauseKey{
			Channel:  field(id, "channel", bson.RawValue.StringValueOK),
			Receiver: field(id, "receiver", bson.RawValue.StringValueOK),
		},
		Kind:   ports.PauseKind(field(r, "kind", bson.RawValue.StringValueOK)),
		Reason: field(r, "reason", bson.RawValue.StringValueOK),
		By:     field(r, "by", bson.RawValue.StringValueOK),
		Since:  date(r, "since"),
		Probes: field(r, "probes", integer),
	}
	if document.Lookup("probe").Type != bson.TypeNull {
		p.Probe = date(r, "probe")
	}
	if err := cmp.Or(id.err, r.err); err != nil {
		return ports.Pause{}, unreadable(document, err)
	}
	return p, nil
}
