package mongodb

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"example.com/orderflow/adapters/internal/cursor"
	"example.com/orderflow/ports"
)

// OperatorActions keeps what operators did, one document for each action.
type OperatorActions struct{ store *Store }

var _ ports.OperatorActions = (*OperatorActions)(nil)

// OperatorActions returns what operators did.
func (s *Store) OperatorActions() *OperatorActions { return &s.parts.actions }

type actionDocument struct {
	ID       string    `bson:"_id"`
	At       time.Time `bson:"at"`
	By       string    `bson:"by"`
	Action   string    `bson:"action"`
	Target   string    `bson:"target"`
	Reason   string    `bson:"reason"`
	Outcome  string    `bson:"outcome"`
	ForgetAt time.Time `bson:"forget_at"`
}

// Begin implements [ports.OperatorActions].
func (o *OperatorActions) Begin(ctx context.Context, a ports.OperatorAction) (err error) {
	defer describe(&err, "begin action %s", a.ID)
	ctx, cancel := o.store.bound(ctx)
	defer cancel()
	document := actionDocument{a.ID, a.At, a.By, a.Action, a.Target, a.Reason, string(ports.ActionUnknown), a.At.Add(o.store.options.ActionRetention)}
	for {
		_, err = o.store.actions.InsertOne(ctx, document)
		switch {
		case err == nil:
			return nil
		case !isDuplicate(err):
			return classify(ctx, err)
		}
		forgotten := bson.M{"_id": a.ID, "forget_at": bson.M{"$lte": time.Now()}}
		switch deleted, err := o.store.actions.DeleteOne(ctx, forgotten); {
		case err != nil:
			return classify(ctx, err)
		case deleted.DeletedCount == 0:
			return ports.ErrExists
		}
	}
}

// End implements [ports.OperatorActions].
func (o *OperatorActions) End(ctx context.Context, id string, end ports.ActionEnd) (err error) {
	defer describe(&err, "end action %s", id)
	ctx, cancel := o.store.bound(ctx)
	defer cancel()
	change := bson.M{"$set": bson.M{"ended_at": end.EndedAt, "outcome": string(end.Outcome), "count": end.Count, "error": end.Error}}
	result, err := o.store.actions.UpdateOne(ctx, retainedWithID(time.Now(), id), change)
	switch {
	case err != nil:
		return classify(ctx, err)
	case result.MatchedCount == 0:
		return ports.ErrNotFound
	}
	return nil
}

// List implements [ports.OperatorActions].
func (o *OperatorActions) List(ctx context.Context, query ports.OperatorActionQuery) (page ports.OperatorActionPage, err error) {
	defer describe(&err, "list actions")
	ctx, cancel := o.store.bound(ctx)
	defer cancel()
	filter := retained(time.Now())
	if query.Action != "" {
		filter["action"] = query.Action
	}
	if query.By != "" {
		filter["by"] = query.By
	}
	period := periodOf(query.From, query.To)
	if query.Cursor != "" {
		last, err := cursor.DecodeAction(query.Cursor)
		if err != nil {
			return page, err
		}
		filter["$nor"] = bson.A{bson.M{"at": last.At, "_id": bson.M{"$gte": last.ID}}}
		if upper, ok := period["$lt"].(time.Time); !ok || upper.After(last.At) {
			delete(period, "$lt")
			period["$lte"] = last.At
		}
	}
	if len(period) > 0 {
		filter["at"] = period
	}
	found, err := findPage(ctx, o.store, o.store.actions, filter, options.Find().SetSort(latestActionFirst), query.Limit, readAction)
	if err != nil {
		return page, err
	}
	page.Actions, page.Unreadable = found.records, found.skipped.Count
	if found.more {
		page.NextCursor = cursor.EncodeAction(cursor.OfAction(found.last()))
	}
	return page, nil
}

// periodOf returns the condition of a time in the period, whose bounds may be zero. Servers
// truncate times, and stored ones are whole milliseconds.
func periodOf(from, to time.Time) bson.M {
	period := bson.M{}
	if !from.IsZero() {
		period["$gte"] = cursor.Ceil(from)
	}
	if !to.IsZero() {
		period["$lt"] = cursor.Ceil(to)
	}
	return period
}

func readAction(document bson.Raw) (ports.OperatorAction, error) {
	r := &reader{doc: document}
	text := bson.RawValue.StringValueOK
	a := ports.OperatorAction{
		ID: field(r, "_id", text), At: date(r, "at"), By: field(r, "by", text),
		Action: field(r, "action", text), Target: field(r, "target", text), Reason: field(r, "reason", text),
		ActionEnd: ports.ActionEnd{
			EndedAt: optionalDate(r, "ended_at"), Outcome: ports.ActionOutcome(field(r, "outcome", text)),
			Count: optional(r, "count", integer), Error: optional(r, "error", text),
		},
	}
	if fault := a.Outcome.Check(); fault != nil {
		r.fail("outcome", fmt.Sprint(fault))
	}
	if r.err != nil {
		return ports.OperatorAction{}, unreadable(document, r.err)
	}
	return a, nil
}
