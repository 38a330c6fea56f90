package httpapi

import (
	"bytes"
	"fmt"
)

// EscapeControls returns the JSON with U+007F to U+009F as \u00XX: encoding/json
// escapes the control characters below U+0020 only, and a terminal obeys these
// as well. The JSON is valid UTF-8, and is returned as it is if it has none.
func EscapeControls(json []byte) []byte {
	first := nextControl(json)
	if first < 0 {
		return json
	}
	escaped := make([]byte, 0, len(json)+16)
	for at := first; at >= 0; at = nextControl(json) {
		escaped = append(escaped, json[:at]...)
		if json[at] == lead {
			at++
		}
		escaped = fmt.Appendf(escaped, `\u00%02x`, json[at])
		json = json[at+1:]
	}
	return append(escaped, json...)
}

// The UTF-8 of U+007F is one byte, that of U+0080 to U+009F two: the lead and
// the character's number.
const (
	deleteByte = 0x7F
	lead       = 0xC2
)

// nextControl returns where the first such character begins, or -1.
func nextControl(json []byte) int {
	return bytes.IndexFunc(json, func(r rune) bool { return r >= deleteByte && r <= 0x9F })
}
