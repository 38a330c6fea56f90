package rabbitmq

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"

	amqp "github.com/rabbitmq/amqp091-go"
)

var errURL = errors.New("read URL of the broker: it must be like amqp://user:password@host:5672/vhost, or amqps:, " +
	"with every reserved character in user and password percent-encoded")

// parseURL parses an address of one of the schemes. It does not say which part is
// wrong, because any part of a broken URL may be the password. An unescaped
// character may move the rest of the password into the host, path or fragment,
// which errors and logs show. So parseURL accepts only the @ after the user.
func parseURL(address string, schemes ...string) (u *url.URL, ok bool) {
	u, err := url.Parse(address)
	return u, err == nil && slices.Contains(schemes, u.Scheme) && u.Fragment == "" &&
		strings.Contains(address, "@") == (u.User != nil) && strings.Count(address, "@") <= 1
}

// checkURL returns an error, without the URL, if [Open] can't use the address.
func checkURL(address string) error {
	u, ok := parseURL(address, "amqp", "amqps")
	if !ok {
		return errURL
	}
	if err := checkOptions(u); err != nil {
		return fmt.Errorf("read URL of the broker: %w", err)
	}
	uri, err := amqp.ParseURI(address)
	if err != nil {
		return errURL
	}
	if strings.ContainsFunc(uri.Vhost, func(r rune) bool { return !unicode.IsGraphic(r) }) {
		return fmt.Errorf("read URL of the broker: the vhost's name, %q, has an invisible character; remove it", uri.Vhost)
	}
	return nil
}

// option is an option of a URL.
type option struct {
	tls   bool                     // only for amqps:
	many  bool                     // may occur several times
	check func(value string) error // its error omits the value, which may be a part of the password
}

var options = map[string]option{
	"cacertfile":             {tls: true, check: checkAuthorities},
	"certfile":               {tls: true, check: checkFile},
	"keyfile":                {tls: true, check: checkFile},
	"server_name_indication": {tls: true, check: func(string) error { return nil }},
	"auth_mechanism":         {many: true, check: checkMechanism},
	"heartbeat":              {check: between(0, 65535)},
	"connection_timeout":     {check: between(1, 600_000)},
	"channel_max":            {check: between(minChannels, 65535)},
}

// checkOptions returns an error for an option that the library would ignore, or
// that would make each attempt to connect fail.
func checkOptions(u *url.URL) error {
	given, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return errors.New("its options can't be read: percent-encode every reserved character in them")
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		values := given[name]
		o, known := options[name]
		switch {
		case !known:
			return fmt.Errorf("option %.40q is unknown; the options are %s", name, strings.Join(slices.Sorted(maps.Keys(options)), ", "))
		case len(values) > 1 && !o.many:
			return fmt.Errorf("option %s is given %d times", name, len(values))
		case o.tls && u.Scheme != "amqps":
			return fmt.Errorf("option %s needs TLS: begin the URL with amqps: or leave the option out", name)
		}
		for _, value := range values {
			if value == "" {
				return fmt.Errorf("option %s is empty", name)
			}
			if err := o.check(value); err != nil {
				return fmt.Errorf("option %s: %w", name, err)
			}
		}
	}
	certificate, key := given.Get("certfile"), given.Get("keyfile")
	switch {
	case certificate != "" && key == "":
		return errors.New("option certfile needs keyfile: give both or none")
	case certificate == "" && key != "":
		return errors.New("option keyfile needs certfile: give both or none")
	case certificate != "":
		if _, err := tls.LoadX509KeyPair(certificate, key); err != nil {
			return fmt.Errorf("options certfile and keyfile: %q and %q: %w", certificate, key, err)
		}
	}
	return nil
}

func checkAuthorities(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fileError(file, err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(text) {
		return fmt.Errorf("%q holds no certificate in PEM", file)
	}
	return nil
}

func checkFile(file string) error {
	_, err := os.ReadFile(file)
	return fileError(file, err)
}

// fileError returns an error of one line, whatever the file's name.
func fileError(file string, err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("%q: %w", file, path.Err)
	}
	return err
}

func checkMechanism(name string) error {
	switch strings.ToLower(name) {
	case "plain", "amqplain", "external":
		return nil
	}
	return errors.New("it must be plain, amqplain or external")
}

func between(least, most int) func(string) error {
	return func(value string) error {
		if n, err := strconv.Atoi(value); err != nil || n < least || n > most {
			return fmt.Errorf("it must be a whole number from %d to %d", least, most)
		}
		return nil
	}
}
