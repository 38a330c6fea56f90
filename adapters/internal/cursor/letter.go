package cursor

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"time"

	"example.com/orderflow/ports"
)

// Letter is where a dead letter stands in a list.
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

// EncodeLetter returns the cursor of what comes after l. It begins with a
// checksum: any text may be a dead letter's id, so that alone would not tell a
// cursor from what is none.
func EncodeLetter(l Letter) string {
	data := pack(l.Since, l.ID)
	sum := binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(data))
	return base64.RawURLEncoding.EncodeToString(append(sum, data...))
}

// DecodeLetter returns the place of a cursor that EncodeLetter made, or an
// error that wraps [ports.ErrInvalidCursor].
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
