// Package cursor encodes the opaque cursors of lists. A cursor is the position of the last
// order, notification, dead letter, contact or operator's action of a page.
package cursor

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// Position is where an order stands in a list.
type Position struct {
	CreatedAt time.Time
	ID        domain.OrderID
}

// Of returns the order's position.
func Of(order domain.Order) Position {
	return Position{CreatedAt: order.CreatedAt, ID: order.ID}
}

// Before reports whether p comes before q, newest first.
func (p Position) Before(q Position) bool {
	if !p.CreatedAt.Equal(q.CreatedAt) {
		return p.CreatedAt.After(q.CreatedAt)
	}
	return p.ID > q.ID
}

// Start returns the place in the list of orders after which the page of the query
// begins, and whether there is one: without a cursor and a latest time the page begins
// with the newest order. It returns an error that wraps [ports.ErrInvalidCursor] if
// Encode did not make the cursor for a page of the same orders.
func Start(query ports.OrderQuery) (p Position, ok bool, err error) {
	if !query.CreatedTo.IsZero() {
		p, ok = Position{CreatedAt: Ceil(query.CreatedTo)}, true // no id: it comes after all orders of this time
	}
	if query.Cursor == "" {
		return p, ok, nil
	}
	p, err = decode(query)
	return p, err == nil, err
}

// Encode returns the cursor of the query's page that starts after p.
func Encode(p Position, query ports.OrderQuery) string {
	return base64.RawURLEncoding.EncodeToString(append(pack(p.CreatedAt, string(p.ID)), filterOf(query)...))
}

// decode returns the position of the query's cursor.
func decode(query ports.OrderQuery) (Position, error) {
	data, err := base64.RawURLEncoding.Strict().DecodeString(query.Cursor)
	if err != nil || len(data) < timeSize {
		return Position{}, invalid(query.Cursor)
	}
	at, text := unpack(data)
	text, same := strings.CutSuffix(text, string(filterOf(query)))
	id, err := domain.ParseOrderID(text)
	if !same || err != nil || string(id) != text { // Encode writes no upper case
		return Position{}, invalid(query.Cursor)
	}
	return Position{CreatedAt: at, ID: id}, nil
}

// Ceil returns the first time in whole milliseconds, as all orders have it, that is not
// before t. Servers would truncate t.
func Ceil(t time.Time) time.Time { return domain.TruncateTime(t.Add(time.Millisecond - 1)) }

// filterOf returns a checksum of what selects the query's orders, or nothing if the
// query selects all.
func filterOf(query ports.OrderQuery) []byte {
	if query.UserID == "" && query.CreatedFrom.IsZero() && query.CreatedTo.IsZero() {
		return nil
	}
	text := func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
	filter := text(query.CreatedFrom) + text(query.CreatedTo) + query.UserID
	return binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(filter)))
}

const timeSize = 8

func pack(at time.Time, id string) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(at.UnixMilli())), id...)
}

func unpack(data []byte) (at time.Time, id string) {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(data))).UTC(), string(data[timeSize:])
}

func invalid(s string) error { return fmt.Errorf("read cursor %q: %w", s, ports.ErrInvalidCursor) }
