// Package mask hides personal data in texts for logs and for the public: receivers'
// answers and errors may contain the addresses that notifications were sent to.
package mask

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

var (
	// A URL, up to the end of its host. Endpoints have secrets in their logins, paths
	// and parameters.
	link = regexp.MustCompile(`([a-zA-Z0-9+.-]*://)([^\s"'<>/?#\\]*)([^\s"'<>]*)`)

	// An e-mail address: its local part, which may be quoted, and its host, which may
	// be an address in brackets. It takes more characters than addresses may have.
	mail = regexp.MustCompile(`("(?:[^"\\\r\n]|\\.)*"|[^\s"<>()\[\]\\,;:@]+)((?:@|%40)(?:\[[^\]\s]*\]|[\pL\pN]))`)
)

// Text returns the text with the e-mail addresses as a…@example.com, and with the
// URLs as https://example.com/….
func Text(text string) string {
	if strings.Contains(text, "://") {
		text = link.ReplaceAllStringFunc(text, maskLink)
	}
	if !strings.Contains(text, "@") && !strings.Contains(text, "%40") {
		return text
	}
	return mail.ReplaceAllStringFunc(text, func(found string) string {
		part := mail.FindStringSubmatch(found)
		return initial(part[1]) + "…" + part[2]
	})
}

// Error returns the error with its text masked, or nil.
func Error(err error) error {
	if err == nil {
		return nil
	}
	return masked{err}
}

type masked struct{ error }

func (m masked) Error() string { return Text(m.error.Error()) }

func (m masked) Unwrap() error { return m.error }

func maskLink(found string) string {
	part := link.FindStringSubmatch(found)
	host := part[2][strings.LastIndexByte(part[2], '@')+1:]
	if part[3] == "" || part[3] == "/" {
		return part[1] + host + part[3]
	}
	return part[1] + host + "/…"
}

// initial returns the text up to its first letter or digit, without quotes.
func initial(local string) string {
	i := strings.IndexFunc(local, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) })
	if i < 0 || local[0] == '"' {
		return ""
	}
	_, size := utf8.DecodeRuneInString(local[i:])
	return local[:i+size]
}
