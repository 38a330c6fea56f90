package mongodb

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	neturl "net/url"
	"regexp"
	"strings"
	"time"
	"unicode"

	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"example.com/orderflow/ports"
)

const (
	defaultTimeout   = 10 * time.Second
	selectionTimeout = 5 * time.Second // long enough for most elections, and half of a call
)

// parseURL returns the client's options and the name of the database. Its errors
// show no user, password or option's value.
func parseURL(url string) (*options.ClientOptions, string, error) {
	journal := true
	opts := options.Client().
		// The URL may change these defaults.
		SetAppName("orderflow").
		SetConnectTimeout(selectionTimeout).
		SetServerSelectionTimeout(selectionTimeout).
		SetTimeout(defaultTimeout).
		ApplyURI(url).
		// The URL may not change these, because the contract depends on them. Reads
		// are local: after an election, a majority read may miss an acknowledged
		// write for a moment.
		SetWriteConcern(&writeconcern.WriteConcern{W: writeconcern.WCMajority, Journal: &journal}).
		SetReadConcern(readconcern.Local()).
		SetReadPreference(readpref.Primary())
	scheme, hasLogin, address, query := split(url)
	all := optionsOf(address, query)
	if err := opts.Validate(); err != nil {
		if named := checkOptions(all); named != nil {
			return nil, "", fmt.Errorf("read URL: %w", named)
		}
		var lookup *net.DNSError
		if errors.As(err, &lookup) {
			return nil, "", fmt.Errorf("%w: %w", ports.ErrUnavailable, lookup)
		}
		return nil, "", fmt.Errorf("read URL: %s", hideQuoted(err))
	}
	if err := cmp.Or(checkOptions(all), checkTLS(all, opts.TLSConfig)); err != nil {
		return nil, "", fmt.Errorf("read URL: %w", err)
	}
	if *opts.Timeout == 0 { // the driver would set no limit
		opts.SetTimeout(defaultTimeout)
	}

	hosts, path, _ := strings.Cut(address, "/")
	database, err := neturl.QueryUnescape(path) // as the driver reads it
	if err != nil || database == "" {
		login, authSource := "", ""
		if hasLogin {
			login, authSource = "user:password@", "?authSource=admin"
		}
		return nil, "", fmt.Errorf("read URL: it names no database; add one after the host, as in %s://%s%s/orderflow%s",
			scheme, login, hosts, authSource)
	}
	if strings.ContainsFunc(database, func(r rune) bool { return !unicode.IsGraphic(r) }) {
		return nil, "", fmt.Errorf("read URL: the database's name, %q, has an invisible character; remove it", database)
	}
	if err := checkEffect(all); err != nil {
		return nil, "", fmt.Errorf("read URL: %w", err)
	}
	return opts, database, nil
}

// split returns the parts of a URL as the driver reads them. The address is the
// hosts and the path.
func split(url string) (scheme string, hasLogin bool, address, query string) {
	scheme, address, _ = strings.Cut(url, "://")
	if _, behind, ok := strings.Cut(address, "@"); ok {
		hasLogin, address = true, behind
	}
	address, query, _ = strings.Cut(address, "?")
	return scheme, hasLogin, address, query
}

var quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|address .*`)

// hideQuoted returns the error's text without quoted parts of a URL. In a broken
// URL any part may be the password.
func hideQuoted(err error) string {
	return quoted.ReplaceAllString(err.Error(), "…")
}
