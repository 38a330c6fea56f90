package smtpchannel

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/mail"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

const urlExample = "smtp://user:password@host:587/?from=shop@example.com"

var (
	errURL    = errors.New("it must be like " + urlExample + ", or smtps:, with every reserved character in user and password percent-encoded")
	errScheme = errors.New("it must begin with smtp:// or smtps://, as in " + urlExample)
	errAt     = errors.New("it has an @ too many; write an @ in user or password as %40")
	errPort   = errors.New("the port must be a number from 1 to 65535")
)

// DefaultConnections is the largest number of connections, unless the URL has another.
// Many servers accept few from one client.
const DefaultConnections = 10

// settings are the settings in a URL.
type settings struct {
	host           string
	port           string
	implicitTLS    bool // TLS from the first byte on
	noTLS          bool
	authorities    *x509.CertPool // nil: the system's
	user, password string
	from           *mail.Address
	replyTo        *mail.Address // nil: none
	unsubscribe    string        // empty: none
	oneClick       bool
	connections    int
}

func (s settings) server() string { return net.JoinHostPort(s.host, s.port) }

// options set the options of a URL. Their errors omit the value, which may be a part of
// the password.
var options = map[string]func(s *settings, value string) error{
	"from": func(s *settings, value string) (err error) {
		s.from, err = parseMailbox(value)
		return err
	},
	"reply_to": func(s *settings, value string) (err error) {
		s.replyTo, err = parseMailbox(value)
		return err
	},
	"tls": func(s *settings, value string) error {
		switch {
		case value != "starttls" && value != "none":
			return errors.New("it must be starttls or none")
		case s.implicitTLS:
			return errors.New("smtps: always uses TLS: begin the URL with smtp: or leave the option out")
		}
		s.noTLS = value == "none"
		return nil
	},
	"cacertfile": func(s *settings, value string) error {
		text, err := readAuthorities(value)
		s.authorities = x509.NewCertPool()
		switch {
		case err != nil:
		case len(text) > maxAuthorities:
			err = fmt.Errorf("the file has more than %d MiB", maxAuthorities>>20)
		case !s.authorities.AppendCertsFromPEM(text):
			err = errors.New("the file holds no certificate in PEM")
		}
		if err != nil && (filepath.IsAbs(value) || strings.HasPrefix(value, "./") || strings.HasPrefix(value, "../")) { // no part of a password
			err = fmt.Errorf("%q: %w", value, err)
		}
		return err
	},
	"connections": func(s *settings, value string) (err error) {
		if s.connections, err = strconv.Atoi(value); err != nil || s.connections < 1 || s.connections > 100 {
			return errors.New("it must be a whole number from 1 to 100")
		}
		return nil
	},
	"list_unsubscribe": func(s *settings, value string) error {
		u, err := url.Parse(strings.ReplaceAll(value, userPlaceholder, "1"))
		ok := err == nil && (u.Scheme == "https" && u.Host != "" || u.Scheme == "mailto" && checkAddress(u.Opaque) == nil)
		forbidden := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("<>,", r) }
		if !ok || len(value) > 512 || strings.ContainsFunc(value, forbidden) {
			return errors.New("it must be an address like https://example.com/unsubscribe or mailto:unsubscribe@example.com")
		}
		s.unsubscribe = value
		return nil
	},
	"list_unsubscribe_post": func(s *settings, value string) error {
		if value != "true" && value != "false" {
			return errors.New("it must be true or false")
		}
		s.oneClick = value == "true"
		return nil
	},
}

// parseURL reads the channel's URL. The password is for a URL without one, and may be
// empty. Errors show no user, password or option's value.
func parseURL(address, password string) (settings, error) {
	// Any part of a broken URL may be the password. An unescaped character may move
	// the rest of it into the host, the path, the query or the fragment.
	authority, query, _ := strings.Cut(address, "?")
	scheme, _, _ := strings.Cut(authority, "://")
	u, err := url.Parse(authority)
	switch {
	case !strings.EqualFold(scheme, "smtp") && !strings.EqualFold(scheme, "smtps"):
		return settings{}, errScheme
	case strings.Count(authority, "@") > 1:
		return settings{}, errAt
	case err != nil || strings.Contains(address, "#") || u.Path != "" && u.Path != "/" ||
		strings.Contains(authority, "@") != (u.User != nil) || !isHost(u.Hostname()):
		return settings{}, errURL
	}
	s := settings{host: u.Hostname(), implicitTLS: u.Scheme == "smtps", connections: DefaultConnections}
	s.port = cmp.Or(u.Port(), map[bool]string{true: "465", false: "587"}[s.implicitTLS])
	if n, err := strconv.Atoi(s.port); err != nil || n < 1 || n > 65535 {
		return settings{}, errPort
	}
	if err := s.setOptions(query); err != nil {
		return settings{}, err
	}
	return s, s.setLogin(u.User, password)
}

func (s *settings) setOptions(query string) error {
	given, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("its options can't be read: percent-encode every reserved character in them")
	}
	known := strings.Join(slices.Sorted(maps.Keys(options)), ", ")
	for _, name := range slices.Sorted(maps.Keys(given)) {
		set, ok := options[name]
		values := given[name]
		switch {
		case !ok && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") == "":
			return fmt.Errorf("option %.40q is unknown; the options are %s", name, known)
		case !ok:
			return fmt.Errorf("an option is unknown; the options are %s", known)
		case len(values) > 1:
			return fmt.Errorf("option %s is given %d times", name, len(values))
		case values[0] == "":
			return fmt.Errorf("option %s is empty", name)
		}
		if err := set(s, values[0]); err != nil {
			return fmt.Errorf("option %s: %w", name, err)
		}
	}
	switch {
	case s.from == nil:
		return errors.New("option from is missing: add the sender, as in ?from=Shop+<shop@example.com>")
	case s.noTLS && s.authorities != nil:
		return errors.New("option cacertfile needs TLS: leave it or tls=none out")
	case s.oneClick && !strings.HasPrefix(s.unsubscribe, "https:"):
		return errors.New("option list_unsubscribe_post needs list_unsubscribe with an https: address")
	}
	return nil
}

func (s *settings) setLogin(user *url.Userinfo, password string) error {
	inURL, _ := user.Password()
	s.user, s.password = user.Username(), cmp.Or(inURL, password)
	isControl := func(text string) bool { return strings.ContainsFunc(text, unicode.IsControl) }
	switch {
	case inURL != "" && password != "":
		return errors.New("the password is given twice: leave it out of the URL, or give it there only")
	case s.user == "" && (s.password != "" || user != nil):
		return errors.New("a password needs a user: put one before the host, as in smtp://user@host")
	case s.user != "" && s.password == "":
		return errors.New("the user needs a password: give one, or leave the user out of the URL")
	case isControl(s.user) || isControl(s.password):
		return errors.New("user or password has a control character, such as a line break at its end; remove it")
	}
	return nil
}

// parseMailbox parses an address with or without a name.
func parseMailbox(value string) (*mail.Address, error) {
	box, err := mail.ParseAddress(value)
	if err != nil || checkAddress(box.Address) != nil || len(box.Name) > 128 || strings.ContainsFunc(box.Name, unicode.IsControl) {
		return nil, errors.New("it must be one address, such as shop@example.com or Shop <shop@example.com>, percent-encoded")
	}
	return box, nil
}

func isHost(host string) bool {
	return net.ParseIP(host) != nil || len(host) <= 100 && domainName.MatchString(host)
}

const maxAuthorities = 1 << 20 // bytes

// readAuthorities returns the file's content, with one byte more than allowed at most. Its
// errors do not show the path.
func readAuthorities(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read file: %w", withoutPath(err))
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxAuthorities+1))
	if err != nil {
		return nil, fmt.Errorf("read file: %w", withoutPath(err))
	}
	return text, nil
}

// withoutPath returns the file's error without the path.
func withoutPath(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
