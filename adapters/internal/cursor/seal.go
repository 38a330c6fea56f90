package cursor

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
)

// seal encodes the data after a checksum, which distinguishes cursors from other
// text.
func seal(data []byte) string {
	sum := binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(data))
	return base64.RawURLEncoding.EncodeToString(append(sum, data...))
}

// unseal returns the data of a text that seal made of any data but none.
func unseal(s string) ([]byte, error) {
	data, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(data) <= crc32.Size || seal(data[crc32.Size:]) != s {
		return nil, invalid(s)
	}
	return data[crc32.Size:], nil
}
