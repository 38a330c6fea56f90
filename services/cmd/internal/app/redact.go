package app

import (
	"io"
	"net/url"
	"regexp"
	"strings"
)

// shown is the URL as people may see it: without its password, and without
// parameters, which may hold another. Where an unescaped character may have
// moved a part of the password elsewhere, only the scheme is left.
func shown(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Fragment != "" || u.Opaque != "" || strings.Contains(address, "@") != (u.User != nil) || strings.Count(address, "@") > 1 {
		scheme, _, _ := strings.Cut(address, ":")
		return scheme + ":…"
	}
	u.RawQuery = ""
	return u.Redacted()
}

var (
	// A URL whose user and password hold no character that would have to be
	// escaped.
	cleanLogin = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)([^\s"'/?#@:]*):[^\s"'/?#@:]*@`)

	// Any other: the password may hold anything, so it ends at the last @.
	brokenLogin = regexp.MustCompile(`(?s)([a-zA-Z][a-zA-Z0-9+.-]*://).*@`)

	// The same without a scheme, or with a broken one: user:password@host.
	bareLogin = regexp.MustCompile(`[^\s"'=]*:[^\s"']*@`)

	parameters = regexp.MustCompile(`(://[^\s"'?]*\?)[^\s"']+`)
)

// hidden stands for the @ of what is redacted already.
const hidden = "\x00"

// redact returns the text without what looks like the login or the parameters
// of a URL, wherever it stands and however broken it is.
func redact(text string) string {
	if !strings.Contains(text, ":") {
		return text
	}
	text = cleanLogin.ReplaceAllString(text, "${1}${2}:xxxxx"+hidden)
	text = brokenLogin.ReplaceAllString(text, "${1}…"+hidden)
	text = bareLogin.ReplaceAllString(text, "…"+hidden)
	text = parameters.ReplaceAllString(text, "${1}…")
	return strings.ReplaceAll(text, hidden, "@")
}

// redacting writes for people: no secrets, and no character that a terminal
// obeys.
type redacting struct{ io.Writer }

func (r redacting) Write(p []byte) (int, error) {
	if _, err := io.WriteString(r.Writer, printable(redact(string(p)))); err != nil {
		return 0, err
	}
	return len(p), nil
}
