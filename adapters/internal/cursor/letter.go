package cursor

import (
	"cmp"
	"time"

	"example.com/orderflow/ports"
)

// Letter is the place of a dead letter in a list.
type Letter struct {
	Since time.Time
	ID    string
}

// OfLetter returns the place of the dead letter's record.
func OfLetter(record ports.DeadLetterRecord) Letter {
	return Letter{Since: record.Since, ID: record.ID}
}

// Compare returns a negative number if l comes before m, oldest first, and a
// positive one if it comes after.
func (l Letter) Compare(m Letter) int {
	return cmp.Or(l.Since.Compare(m.Since), cmp.Compare(l.ID, m.ID))
}

// EncodeLetter returns the cursor of the page that starts after l. Any text may be the
// id of a dead letter.
func EncodeLetter(l Letter) string { return seal(pack(l.Since, l.ID)) }

// DecodeLetter is the inverse of EncodeLetter. It returns an error that wraps
// [ports.ErrInvalidCursor] for any other text.
func DecodeLetter(s string) (Letter, error) {
	data, err := unseal(s)
	if err != nil || len(data) < timeSize {
		return Letter{}, invalid(s)
	}
	since, id := unpack(data)
	return Letter{Since: since, ID: id}, nil
}
