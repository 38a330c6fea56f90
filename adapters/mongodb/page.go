package mongodb

import (
	"context"
	"iter"
	"log/slog"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// find returns the documents that a filter finds.
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

// first has a find return the first documents of an order, in one round trip.
func first(limit int, of bson.D) *options.FindOptionsBuilder {
	return options.Find().SetSort(of).SetLimit(int64(limit)).SetBatchSize(int32(limit + 1))
}

// page is what was read of a list: limit records at most.
type page[T any] struct {
	records []T
	more    bool // another record follows
	passed  passedOver
}

// findPage returns the first records that the filter finds, limit at most; opts
// ask for one more, which tells of a next page. The documents that can't be read
// take nobody's place; only where there are some does it ask the server twice.
func findPage[T any](
	ctx context.Context, in *mongo.Collection, filter bson.M, opts *options.FindOptionsBuilder, limit int, read func(bson.Raw) (T, error),
) (page[T], error) {
	documents, err := find(ctx, in, filter, opts)
	if err != nil {
		return page[T]{}, err
	}
	p := readPage(slices.Values(documents), limit, read)
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

// readPage reads documents up to the first record behind the page. What can't
// be read between the page's last record and that one is the next page's.
func readPage[T any](documents iter.Seq[bson.Raw], limit int, read func(bson.Raw) (T, error)) page[T] {
	var p page[T]
	var passed passedOver
	for document := range documents {
		record, err := read(document)
		switch {
		case err != nil:
			passed.add(document, err)
		case len(p.records) == limit:
			p.more = true
			return p
		default:
			p.records = append(p.records, record)
			p.passed = passed
		}
	}
	p.passed = passed
	return p
}

// passedOver is what a call could not read.
type passedOver struct {
	count int
	ids   []string // of the first
	fault error    // of the very first
}

// maxNamed is how many of the records that were passed over the log names.
const maxNamed = 16

func (p *passedOver) add(document bson.Raw, fault error) {
	if p.count++; p.count == 1 {
		p.fault = fault
	}
	if len(p.ids) < maxNamed {
		p.ids = append(p.ids, idOf(document))
	}
}

// log says so in one line.
func (p *passedOver) log(ctx context.Context, log *slog.Logger, in *mongo.Collection) {
	if p.count == 0 {
		return
	}
	log.WarnContext(ctx, "records passed over, for they can't be read",
		"collection", in.Name(), "count", p.count, "ids", p.ids, "first", p.fault)
}

// sorted lists BSON's types as a server sorts them. Arrays are left out: their
// elements decide.
var sorted = []string{
	"minKey", "undefined", "null", "number", "symbol", "string", "object", "binData", "objectId", "bool", "date", "timestamp",
	"regex", "dbPointer", "javascript", "javascriptWithScope", "maxKey",
}

// typesBefore and typesAfter return the types that a server sorts before, or
// after, this one.
func typesBefore(name string) []string { return sorted[:slices.Index(sorted, name)] }

func typesAfter(name string) []string { return sorted[slices.Index(sorted, name)+1:] }
