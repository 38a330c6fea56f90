package cursor

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
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

// EncodeLetter returns the cursor of the page that starts after l. It begins with a
// checksum, which distinguishes cursors from other text: any text may be the id of
// a dead letter.
func EncodeLetter(l Letter) string {
	data := pack(l.Since, l.ID)
	sum := binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(data))
	return base64.RawURLEncoding.EncodeToString(append(sum, data...))
}

// DecodeLetter is the inverse of EncodeLetter. It returns an error that wraps
// [ports.ErrInvalidCursor] for any other text.
func DecodeLetter(s string) (Letter, error) {
	data, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(data) < crc32.Size+timeSize {
		return Letter{}, invalid(s)
	}
	sum, data := binary.BigEndian.Uint32(data), data[crc32.Size:]
	if sum != crc32.ChecksumIEEE(data) {
		return Letter{}, invalid(s)
	}
	since, id := unpack(data)
	return Letter{Since: since, ID: id}, nil
}
