package mongodb

import (
	"context"
	"fmt"

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

// reader reads the fields of a document, and keeps the first fault.
type reader struct {
	doc bson.Raw
	err error
}

// field returns the named field, which must be there and of the type that as
// takes. The driver's own decoding would let a missing field pass for a zero,
// and a number for another kind of number.
func field[T any](r *reader, name string, as func(bson.RawValue) (T, bool)) T {
	var value T
	if r.err != nil {
		return value
	}
	raw, err := r.doc.LookupErr(name)
	if err != nil {
		r.err = fmt.Errorf("field %s is missing", name)
		return value
	}
	value, ok := as(raw)
	if !ok {
		r.err = fmt.Errorf("field %s is of type %s", name, raw.Type)
	}
	return value
}

// inside returns a reader of the subdocument in the named field.
func inside(r *reader, name string) *reader {
	doc := field(r, name, bson.RawValue.DocumentOK)
	return &reader{doc: doc, err: r.err}
}

func integer(value bson.RawValue) (int, bool) {
	if n, ok := value.Int32OK(); ok {
		return int(n), true
	}
	n, ok := value.Int64OK()
	return int(n), ok && int64(int(n)) == n
}

// unreadable names the document in which err was found. It does not wrap err:
// what is kept wrongly is no fault of the one who asks for it, so no
// domain.InvalidError may come out.
func unreadable(document bson.Raw, err error) error {
	return fmt.Errorf("read document %s: %v", document.Lookup("_id"), err)
}
