// Package cursor encodes the opaque cursors of lists. A cursor is the position of
// the last order, notification, dead letter or contact of a page.
package cursor

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
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

// Encode returns the cursor of the page that starts after p.
func Encode(p Position) string {
	return base64.RawURLEncoding.EncodeToString(pack(p.CreatedAt, string(p.ID)))
}

// Decode returns the position of a cursor that Encode made, or an error that
// wraps [ports.ErrInvalidCursor].
func Decode(s string) (Position, error) {
	data, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(data) < timeSize {
		return Position{}, invalid(s)
	}
	at, text := unpack(data)
	id, err := domain.ParseOrderID(text)
	if err != nil || string(id) != text { // Encode writes no upper case
		return Position{}, invalid(s)
	}
	return Position{CreatedAt: at, ID: id}, nil
}

const timeSize = 8

func pack(at time.Time, id string) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(at.UnixMilli())), id...)
}

func unpack(data []byte) (at time.Time, id string) {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(data))).UTC(), string(data[timeSize:])
}

func invalid(s string) error { return fmt.Errorf("read cursor %q: %w", s, ports.ErrInvalidCursor) }
