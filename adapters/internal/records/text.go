package records

import (
	"strings"
	"unicode/utf8"
)

// ValidText returns the text as UTF-8: the replacement character stands for what is not.
func ValidText(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// CutText returns at most size bytes of the text, as UTF-8.
func CutText(text string, size int) string {
	if text = ValidText(text); len(text) <= size {
		return text
	}
	for !utf8.RuneStart(text[size]) {
		size--
	}
	return text[:size]
}

// maxID limits how much of a foreign record's id is shown.
const maxID = 200

// ShortID returns the id as errors and logs show it. A foreign record may have a long one.
func ShortID(id string) string {
	if len(id) > maxID {
		return strings.ToValidUTF8(id[:maxID], "") + "…"
	}
	return id
}
