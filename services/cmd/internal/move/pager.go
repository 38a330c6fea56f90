package move

import (
	"context"
	"reflect"
	"strings"
	"time"
)

// lister returns the page at the cursor, as the ports do.
type lister[T any] func(ctx context.Context, cursor string) (page[T], error)

type page[T any] struct {
	records    []T
	next       string // empty on the last page
	unreadable int
}

// pager reads a list record by record.
type pager[T any] struct {
	list       lister[T]
	records    []T // the rest of the page
	cursor     string
	ended      bool // no page follows
	unreadable int
}

// peek returns the next record, and false after the last.
func (p *pager[T]) peek(ctx context.Context) (record T, more bool, err error) {
	for len(p.records) == 0 {
		if p.ended {
			return record, false, nil
		}
		var read page[T]
		err := insist(ctx, func(ctx context.Context) (err error) {
			read, err = p.list(ctx, p.cursor)
			return err
		})
		if err != nil {
			return record, false, err
		}
		p.records, p.cursor, p.ended = read.records, read.next, read.next == ""
		p.unreadable += read.unreadable
	}
	return p.records[0], true, nil
}

func (p *pager[T]) next(ctx context.Context) (record T, more bool, err error) {
	record, more, err = p.peek(ctx)
	if more && err == nil {
		p.records = p.records[1:]
	}
	return record, more, err
}

// differences names the fields in which two records differ. An empty slice or map is like
// none, and a time is compared by its instant in milliseconds, as stores keep it.
func differences(a, b any) []string { return compare(reflect.ValueOf(a), reflect.ValueOf(b)) }

func compare(a, b reflect.Value) (fields []string) {
	equal := true
	switch at, isTime := a.Interface().(time.Time); {
	case isTime:
		equal = at.UnixMilli() == b.Interface().(time.Time).UnixMilli()
	case a.Kind() == reflect.Struct:
		for i := range a.NumField() {
			name := a.Type().Field(i).Name
			for _, inner := range compare(a.Field(i), b.Field(i)) {
				fields = append(fields, strings.TrimSuffix(name+"."+inner, "."))
			}
		}
		return fields
	case a.Kind() == reflect.Slice && a.Len() == b.Len() && a.Type().Elem().Kind() == reflect.Struct:
		for i := range a.Len() {
			fields = append(fields, compare(a.Index(i), b.Index(i))...)
		}
		return fields
	case a.Kind() == reflect.Slice || a.Kind() == reflect.Map:
		equal = a.Len() == 0 && b.Len() == 0 || reflect.DeepEqual(a.Interface(), b.Interface())
	default:
		equal = a.Equal(b)
	}
	if equal {
		return nil
	}
	return []string{""}
}
