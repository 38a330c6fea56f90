package notification

import (
	"strings"
	"unicode/utf8"
)

// cut returns the text in valid UTF-8, without NUL, of at most limit bytes.
func cut(text string, limit int) string {
	if len(text) > 2*limit { // so that replacing a long text costs little
		text = text[:2*limit]
	}
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}

// text returns the error's text; empty if there is no error.
func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
