package app

import (
	"io"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// Shown returns the URL without its password, and without parameters, which may hold
// another. It returns only the scheme if an unescaped character may have moved a part
// of the password elsewhere.
func Shown(address string) string {
	if strings.HasPrefix(address, "sqlite:") && !strings.Contains(address, "@") {
		return address // it has no login
	}
	u, err := url.Parse(address)
	at := strings.Count(address, "@")
	if err != nil || u.Fragment != "" || u.Opaque != "" || at > 1 || at == 1 && u.User == nil {
		scheme, _, _ := strings.Cut(address, ":")
		return scheme + ":…"
	}
	u.RawQuery = ""
	return u.Redacted()
}

var (
	// The login of a URL, without characters that must be escaped.
	cleanLogin = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)([^\s"'/?#@:]*):[^\s"'/?#@:]*@`)

	// Any other login: the password may contain anything, so it ends at the last @.
	brokenLogin = regexp.MustCompile(`(?s)([a-zA-Z][a-zA-Z0-9+.-]*://).*@`)

	// A login without a scheme, or with a broken one: user:password@host.
	bareLogin = regexp.MustCompile(`[^\s"'=]*:[^\s"']*@`)

	// The login of a URL that is percent-encoded as a whole.
	encodedLogin = regexp.MustCompile(`(?i)([a-z][a-z0-9+.-]*%3a%2f%2f)\S*%40`)

	// A secret with a name, as in password=….
	namedSecret = regexp.MustCompile(`(?i)\b(password|passwd|pwd|secret|token)=[^\s"'&]+`)

	// The parameters of a URL.
	parameters = regexp.MustCompile(`(://[^\s"'?]*\?)[^\s"']+`)
)

// hidden replaces the @ of a redacted login until all logins are redacted.
const hidden = "\x00"

// Redact returns the text without the passwords and parameters of URLs, also of
// broken ones.
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

// maxMessage is the size of a message in bytes, at most: it may quote the command
// line.
const maxMessage = 4 << 10

func shortened(text string) string {
	if len(text) <= maxMessage {
		return text
	}
	return strings.ToValidUTF8(text[:maxMessage/2], "") + " … " + strings.ToValidUTF8(text[len(text)-maxMessage/2:], "")
}

// redacting writes messages for people, as [printable] does, and without secrets.
type redacting struct{ io.Writer }

func (r redacting) Write(p []byte) (int, error) {
	if _, err := printable(r).Write([]byte(Redact(string(p)))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// printable writes messages of a bounded length, without characters that control a
// terminal.
type printable struct{ io.Writer }

func (w printable) Write(p []byte) (int, error) {
	if _, err := io.WriteString(w.Writer, shortened(Printable(string(p)))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// secretFree is an error without secrets. Its text is not redacted, because Redact would
// also hide examples of URLs.
type secretFree struct{ error }

// Printable returns the text, which may be anybody's, with the characters escaped
// that control a terminal.
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
