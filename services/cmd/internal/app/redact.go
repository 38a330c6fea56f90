package app

import (
	"io"
	"net/url"
	"regexp"
	"strconv"
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

	// A URL that is percent-encoded as a whole, and a secret that is named.
	encodedLogin = regexp.MustCompile(`(?i)([a-z][a-z0-9+.-]*%3a%2f%2f)\S*%40`)
	namedSecret  = regexp.MustCompile(`(?i)\b(password|passwd|pwd|secret|token)=[^\s"'&]+`)

	parameters = regexp.MustCompile(`(://[^\s"'?]*\?)[^\s"']+`)
)

// hidden stands for the @ of what is redacted already.
const hidden = "\x00"

// Redact returns the text without what looks like the login or the parameters
// of a URL, wherever it stands and however broken it is.
func Redact(text string) string {
	text = namedSecret.ReplaceAllString(text, "${1}=…")
	text = encodedLogin.ReplaceAllString(text, "${1}…%40")
	if !strings.Contains(text, ":") {
		return text
	}
	text = cleanLogin.ReplaceAllString(text, "${1}${2}:xxxxx"+hidden)
	text = brokenLogin.ReplaceAllString(text, "${1}…"+hidden)
	text = bareLogin.ReplaceAllString(text, "…"+hidden)
	text = parameters.ReplaceAllString(text, "${1}…")
	return strings.ReplaceAll(text, hidden, "@")
}

// longestMessage is how many bytes one message for people has: what was given on
// the command line may be in it.
const longestMessage = 4 << 10

func shortened(text string) string {
	if len(text) <= longestMessage {
		return text
	}
	return strings.ToValidUTF8(text[:longestMessage/2], "") + " … " + strings.ToValidUTF8(text[len(text)-longestMessage/2:], "")
}

// redacting writes for people: no secrets, no more than there is a use for, and no character that a terminal
// obeys.
type redacting struct{ io.Writer }

func (r redacting) Write(p []byte) (int, error) {
	if _, err := io.WriteString(r.Writer, shortened(Printable(Redact(string(p))))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Printable makes text that strangers may have written fit for a terminal, to
// which control characters may be commands.
func Printable(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r == '\n' || r == '\t' || strconv.IsPrint(r) {
			b.WriteRune(r)
		} else {
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}
