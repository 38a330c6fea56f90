package mongodb

import (
	"context"
	"iter"
	"log/slog"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"example.com/orderflow/adapters/internal/records"
	"example.com/orderflow/ports"
)

// find returns the documents that match the filter.
func find(ctx context.Context, in *mongo.Collection, filter bson.M, opts *options.FindOptionsBuilder) ([]bson.Raw, error) {
	cursor, err := in.Find(ctx, filter, opts)
	if err != nil {
		return nil, classify(ctx, err)
	}
	var documents []bson.Raw
	if err := cursor.All(ctx, &documents); err != nil {
		return nil, classify(ctx, err)
	}
	return documents, nil
}

// first returns options to find the first documents in a sort order, in one round
// trip.
func first(limit int, order bson.D) *options.FindOptionsBuilder {
	return options.Find().SetSort(order).SetLimit(int64(limit)).SetBatchSize(int32(limit + 1))
}

// idsOf returns the documents' ids.
func idsOf(documents []bson.Raw) bson.A {
	ids := make(bson.A, len(documents))
	for i, document := range documents {
		ids[i] = document.Lookup("_id")
	}
	return ids
}

// page is one page of a list.
type page[T any] struct {
	records []T
	more    bool // another record follows
	skipped skipped
}

// last returns the page's last record.
func (p page[T]) last() T { return p.records[len(p.records)-1] }

// findPage returns the first records that match the filter, in the order of opts: at
// most limit, or the nearest number from 1 to MaxListLimit. It logs what it skips. One
// more document shows whether another page follows. If some documents are unreadable,
// findPage asks the server again, without a limit.
func findPage[T any](
	ctx context.Context, s *Store, in *mongo.Collection, filter bson.M, opts *options.FindOptionsBuilder, limit int, read func(bson.Raw) (T, error),
) (p page[T], err error) {
	defer func() {
		if err == nil {
			p.skipped.log(ctx, s.options.Logger, in)
		}
	}()
	limit = min(max(limit, 1), ports.MaxListLimit)
	documents, err := find(ctx, in, filter, opts.SetLimit(int64(limit+1)).SetBatchSize(int32(limit+2)))
	if err != nil {
		return page[T]{}, err
	}
	p = readPage(slices.Values(documents), limit, read)
	if p.more || len(documents) <= limit {
		return p, nil
	}
	const many = 1000
	cursor, err := in.Find(ctx, filter, opts.SetLimit(0).SetBatchSize(many))
	if err != nil {
		return page[T]{}, classify(ctx, err)
	}
	defer cursor.Close(ctx)
	p = readPage(func(yield func(bson.Raw) bool) {
		for cursor.Next(ctx) && yield(cursor.Current) {
		}
	}, limit, read)
	if err := cursor.Err(); err != nil {
		return page[T]{}, classify(ctx, err)
	}
	return p, nil
}

// readPage reads documents up to the first record after the page. Unreadable
// documents between the page's last record and that one belong to the next page.
func readPage[T any](documents iter.Seq[bson.Raw], limit int, read func(bson.Raw) (T, error)) page[T] {
	var p page[T]
	var seen skipped
	for document := range documents {
		record, err := read(document)
		switch {
		case err != nil:
			seen.add(document, err)
		case len(p.records) == limit:
			p.more = true
			return p
		default:
			p.records = append(p.records, record)
			p.skipped = seen
		}
	}
	p.skipped = seen
	return p
}

// skipped are the unreadable documents of a call.
type skipped struct{ records.Skipped }

func (p *skipped) add(document bson.Raw, fault error) { p.Add(idOf(document), fault) }

func (p *skipped) log(ctx context.Context, log *slog.Logger, in *mongo.Collection) {
	p.Log(ctx, log, "collection", in.Name())
}

// sorted lists BSON's types in the order in which a server sorts them. An array
// sorts by its elements.
var sorted = []string{
	"minKey", "undefined", "null", "number", "symbol", "string", "object", "binData", "objectId", "bool", "date", "timestamp",
	"regex", "dbPointer", "javascript", "javascriptWithScope", "maxKey",
}

// typesBefore and typesAfter return the types that a server sorts before and after
// the named one.
func typesBefore(name string) []string { return sorted[:slices.Index(sorted, name)] }

func typesAfter(name string) []string { return sorted[slices.Index(sorted, name)+1:] }
