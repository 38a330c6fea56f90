package httpapi

import (
	"bytes"
	"fmt"
)

// EscapeControls returns the JSON with U+007F to U+009F escaped as \u00XX.
// Terminals obey these control characters, and encoding/json escapes only those
// below U+0020. The JSON must be valid UTF-8.
func EscapeControls(json []byte) []byte {
	first := nextControl(json)
	if first < 0 {
		return json
	}
	escaped := make([]byte, 0, len(json)+16)
	for at := first; at >= 0; at = nextControl(json) {
		escaped = append(escaped, json[:at]...)
		if json[at] == leadByte {
			at++
		}
		escaped = fmt.Appendf(escaped, `\u00%02x`, json[at])
		json = json[at+1:]
	}
	return append(escaped, json...)
}

// U+007F is one byte in UTF-8. U+0080 to U+009F are two: leadByte and the
// character's number.
const (
	deleteByte = 0x7F
	leadByte   = 0xC2
)

// nextControl returns the index of the first such character, or -1.
func nextControl(json []byte) int {
	return bytes.IndexFunc(json, func(r rune) bool { return r >= deleteByte && r <= 0x9F })
}
