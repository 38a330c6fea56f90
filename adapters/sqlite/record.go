package sqlite

import (
	"encoding/json"
	"time"

	"example.com/orderflow/domain"
)

// record reads a row that another program may have written, and keeps the first fault.
type record struct {
	row
	id  string
	err error
}

func (r *record) fail(field, reason string) {
	if r.err == nil {
		r.err = unreadable(r.id, field, reason)
	}
}

// date returns the time in the column. A time outside the years 1 to 9999 is a fault.
func (r *record) date(column int, field string) time.Time {
	at := r.time(column)
	if !domain.IsWritable(at) {
		r.fail(field, "must be in the years 1 to 9999")
	}
	return at
}

// json decodes the JSON in the column into the variable.
func (r *record) json(column int, field string, into any) {
	if err := json.Unmarshal(r.ColumnRawText(column), into); err != nil {
		r.fail(field, "is damaged: "+err.Error())
	}
}
