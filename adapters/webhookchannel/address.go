package webhookchannel

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxAddress  = 2 << 10 // bytes of a URL
	maxHostName = 253     // bytes, by DNS
	maxReceiver = 128     // bytes, by the port
)

// address is a receiver's URL. Its path and query are secrets.
type address struct {
	url     *url.URL
	secrets []string // parts of the URL, and the signing secrets: no error and no answer shows them
}

// CheckAddress returns an error unless the address is the URL of a receiver that the
// channel may reach. It finds forbidden IP addresses, but looks up no names: Send does.
func (c *Channel) CheckAddress(text string) error {
	_, err := c.parse(text)
	return err
}

// parse parses the address. Its errors are those of CheckAddress.
func (c *Channel) parse(text string) (address, error) {
	switch {
	case len(text) > maxAddress:
		return address{}, errors.New("must have at most " + strconv.Itoa(maxAddress) + " bytes")
	case !utf8.ValidString(text) || strings.ContainsFunc(text, isSpaceOrControl):
		return address{}, errors.New("must be a URL without spaces and control characters")
	}
	u, err := url.Parse(text) // the error would show the URL
	if err != nil || u.Host == "" || u.Opaque != "" {
		return address{}, errors.New("must be a URL like https://example.com/hooks")
	}
	host := u.Hostname()
	switch {
	case u.Scheme != "https" && (u.Scheme != "http" || !c.allowPrivate):
		return address{}, errors.New("must begin with https://")
	case u.User != nil:
		return address{}, errors.New("must have no user and no password")
	case strings.Contains(text, "#"):
		return address{}, errors.New("must have no fragment (#…)")
	case host == "" || len(host) > maxHostName:
		return address{}, errors.New("must have a host")
	case !isPort(u):
		return address{}, errors.New("must have a port from 1 to 65535, or none")
	case !c.allowPrivate && !c.isPublicHost(host):
		return address{}, errors.New("must be public, not an address inside a network or of this machine")
	}
	return address{u, append(secretsOf(u), c.secrets...)}, nil
}

func isSpaceOrControl(c rune) bool { return unicode.IsSpace(c) || !unicode.IsPrint(c) }

// isPort reports whether the URL has a valid port, or none.
func isPort(u *url.URL) bool {
	port := u.Port()
	if port == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	n, err := strconv.Atoi(port)
	return err == nil && 1 <= n && n <= 65535
}

// isPublicHost reports whether the host is public, as far as its name shows.
func (c *Channel) isPublicHost(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return c.isPublic(ip)
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	return name != "localhost" && !strings.HasSuffix(name, ".localhost")
}

// host returns the receiver's host, and its port if the URL has one.
func (a address) host() string { return strings.ToLower(a.url.Host) }

// Receiver returns the address's host and a hash of the whole address, because each
// URL is a receiver of its own.
func (c *Channel) Receiver(text string) string {
	hash := sha256.Sum256([]byte(text))
	end := "#" + hex.EncodeToString(hash[:4])
	host := ""
	if a, err := c.parse(text); err == nil {
		host = a.host()
	}
	return strings.ToValidUTF8(host[:min(len(host), maxReceiver-len(end))], "") + end
}

// A part of a path, or a query's value, of at least this size is hidden wherever it
// occurs. Shorter ones may be words of other texts.
const (
	minSegment = 6
	minValue   = 4
)

// secretsOf returns the URL's path and query, and their parts, which a receiver may repeat
// in its answer.
func secretsOf(u *url.URL) (secrets []string) {
	add := func(least int, parts ...string) {
		for _, part := range parts {
			if len(part) >= least {
				secrets = append(secrets, part)
			}
		}
	}
	add(2, u.String(), u.RequestURI(), u.EscapedPath(), u.Path)
	add(1, u.RawQuery)
	add(minSegment, strings.Split(u.EscapedPath(), "/")...)
	add(minSegment, strings.Split(u.Path, "/")...)
	for _, pair := range strings.FieldsFunc(u.RawQuery, func(c rune) bool { return c == '&' || c == ';' }) {
		name, value, found := strings.Cut(pair, "=")
		if !found {
			value = name // as in https://example.com/hooks?token
		}
		plain, _ := url.QueryUnescape(value)
		add(minValue, value, plain)
	}
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) }) // the longest first, before their parts
	return secrets
}

// redact returns the text without the URL's secrets, on one line and cut.
func (a address) redact(text string) string {
	for _, secret := range a.secrets {
		text = strings.ReplaceAll(text, secret, "…")
	}
	text = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "")
	}
	return strings.TrimSpace(text)
}

// redactError returns the error, or its text if it has secrets or is long.
func (a address) redactError(err error) error {
	text := err.Error()
	if redacted := a.redact(text); redacted != text {
		return errors.New(redacted)
	}
	return err
}
