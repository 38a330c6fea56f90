package mongodb

import (
	"math/big"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"example.com/orderflow/adapters/internal/records"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// reader reads the fields of a document and stores the first fault.
type reader struct {
	doc    bson.Raw
	within string // prefix of the fields' names in JSON
	err    *ports.UnreadableError
}

func (r *reader) fail(name, reason string) {
	if r.err == nil {
		r.err = &ports.UnreadableError{Field: r.within + strings.TrimPrefix(name, "_"), Reason: reason}
	}
}

// field returns the named field as the function as converts it. The driver's own
// decoding is not strict: it reads a missing field as zero.
func field[T any](r *reader, name string, as func(bson.RawValue) (T, bool)) T {
	var value T
	if r.err != nil {
		return value
	}
	raw, err := r.doc.LookupErr(name)
	if err != nil {
		r.fail(name, "is missing")
		return value
	}
	value, ok := as(raw)
	if !ok {
		r.fail(name, "is of type "+raw.Type.String())
	}
	return value
}

// date returns the time in the named field, in UTC. A time outside the years 1 to
// 9999 is a fault.
func date(r *reader, name string) time.Time {
	at := field(r, name, bson.RawValue.TimeOK).UTC()
	if r.err == nil && !domain.IsWritable(at) {
		r.fail(name, "must be in the years 1 to 9999")
	}
	return at
}

// subdocument returns a reader of the subdocument in the named field. In JSON its
// fields are on the same level as the others.
func subdocument(r *reader, name string) *reader {
	doc := field(r, name, bson.RawValue.DocumentOK)
	return &reader{doc: doc, err: r.err}
}

// optional is [field] for a field that may be missing.
func optional[T any](r *reader, name string, as func(bson.RawValue) (T, bool)) T {
	if !has(r.doc, name) {
		var none T
		return none
	}
	return field(r, name, as)
}

// optionalDate is [date] for a field that may be missing.
func optionalDate(r *reader, name string) time.Time {
	if !has(r.doc, name) {
		return time.Time{}
	}
	return date(r, name)
}

func has(document bson.Raw, name string) bool {
	_, err := document.LookupErr(name)
	return err == nil
}

// array reads the elements of the array in the named field as the function as
// converts them.
func array[T any](r *reader, name string, as func(bson.RawValue) (T, bool)) []T {
	raw := field(r, name, bson.RawValue.ArrayOK)
	if r.err != nil {
		return nil
	}
	values, err := raw.Values()
	if err != nil {
		r.fail(name, "is damaged")
	}
	var list []T
	for _, value := range values {
		element, ok := as(value)
		if !ok {
			r.fail(name, "has an element of type "+value.Type.String())
		}
		list = append(list, element)
	}
	return list
}

// elements reads each document of the array in the named field.
func elements[T any](r *reader, name string, read func(*reader) T) []T {
	var list []T
	for _, doc := range array(r, name, bson.RawValue.DocumentOK) {
		element := &reader{doc: doc, within: name + ".", err: r.err}
		list = append(list, read(element))
		r.err = element.err
	}
	return list
}

// integer accepts a whole number of any type, because other tools write doubles.
func integer(value bson.RawValue) (int, bool) {
	var n big.Rat
	switch value.Type {
	case bson.TypeInt32:
		return int(value.Int32()), true
	case bson.TypeInt64:
		i := value.Int64()
		return int(i), int64(int(i)) == i
	case bson.TypeDouble:
		if n.SetFloat64(value.Double()) == nil {
			return 0, false
		}
	case bson.TypeDecimal128:
		if _, ok := n.SetString(value.Decimal128().String()); !ok {
			return 0, false
		}
	default:
		return 0, false
	}
	i := n.Num().Int64()
	return int(i), n.IsInt() && n.Num().IsInt64() && int64(int(i)) == i
}

// unreadable adds the document's id to the fault.
func unreadable(document bson.Raw, fault *ports.UnreadableError) error {
	fault.ID = idOf(document)
	return fault
}

// idOf returns the document's id as text.
func idOf(document bson.Raw) string {
	value := document.Lookup("_id")
	id := value.String()
	if text, ok := value.StringValueOK(); ok {
		id = text
	} else if object, ok := value.ObjectIDOK(); ok {
		id = object.String()
	}
	return records.ShortID(id)
}
