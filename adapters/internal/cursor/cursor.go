// Package cursor makes the opaque cursors of order lists: the place, newest
// first, behind which a page goes on.
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

// Encode returns the cursor of what comes after p.
func Encode(p Position) string {
	data := binary.BigEndian.AppendUint64(nil, uint64(p.CreatedAt.UnixMilli()))
	return base64.RawURLEncoding.EncodeToString(append(data, p.ID...))
}

// Decode returns the position of a cursor that Encode made, or an error that
// wraps [ports.ErrInvalidCursor].
func Decode(s string) (Position, error) {
	data, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(data) < 8 {
		return Position{}, fmt.Errorf("read cursor %q: %w", s, ports.ErrInvalidCursor)
	}
	id, err := domain.ParseOrderID(string(data[8:]))
	if err != nil {
		return Position{}, fmt.Errorf("read cursor %q: %w", s, ports.ErrInvalidCursor)
	}
	return Position{
		CreatedAt: time.UnixMilli(int64(binary.BigEndian.Uint64(data))).UTC(),
		ID:        id,
	}, nil
}
