package sqlite

import (
	"encoding/json"
	"time"

	"github.com/ncruces/go-sqlite3"

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

// date returns the time in the column.
func (r *record) date(column int, field string) time.Time {
	return r.writable(r.time(column), field)
}

// writable returns the time. A time outside the years 1 to 9999 is a fault.
func (r *record) writable(at time.Time, field string) time.Time {
	if !domain.IsWritable(at) {
		r.fail(field, "must be in the years 1 to 9999")
	}
	return at
}

// require makes it a fault if the column is NULL.
func (r *record) require(column int, field string) {
	if r.ColumnType(column) == sqlite3.NULL {
		r.fail(field, "is missing")
	}
}

// json decodes the JSON in the column into the variable.
func (r *record) json(column int, field string, into any) {
	if err := json.Unmarshal(r.ColumnRawText(column), into); err != nil {
		r.fail(field, "is damaged: "+err.Error())
	}
}
