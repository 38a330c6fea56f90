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
	selectionTimeout = 5 * time.Second // covers most elections, and leaves a call time to go on after one
)

// parseURL returns what to connect with, and the database to use. No error of
// its shows the user, the password, or an option's value.
func parseURL(url string) (*options.ClientOptions, string, error) {
	journal := true
	opts := options.Client().
		// Defaults, which the URL may change.
		SetAppName("orderflow").
		SetConnectTimeout(selectionTimeout).
		SetServerSelectionTimeout(selectionTimeout).
		SetTimeout(defaultTimeout).
		ApplyURI(url).
		// What the contract rests on, which it may not. Reads are local: after
		// an election a majority read may for a moment miss what was
		// acknowledged before it.
		SetWriteConcern(&writeconcern.WriteConcern{W: writeconcern.WCMajority, Journal: &journal}).
		SetReadConcern(readconcern.Local()).
		SetReadPreference(readpref.Primary())
	all := optionsOf(url)
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
	if *opts.Timeout == 0 { // to the driver: no bound
		opts.SetTimeout(defaultTimeout)
	}

	scheme, rest, _ := strings.Cut(url, "://")
	login, authSource := "", ""
	if _, behind, ok := strings.Cut(rest, "@"); ok {
		rest, login, authSource = behind, "user:password@", "?authSource=admin"
	}
	rest, _, _ = strings.Cut(rest, "?")
	hosts, path, _ := strings.Cut(rest, "/")
	database, err := neturl.QueryUnescape(path) // as the driver reads it
	if err != nil || database == "" {
		return nil, "", fmt.Errorf("read URL: it names no database; put one behind the host, as in %s://%s%s/orderflow%s",
			scheme, login, hosts, authSource)
	}
	if strings.ContainsFunc(database, func(r rune) bool { return !unicode.IsGraphic(r) }) {
		return nil, "", fmt.Errorf("read URL: the name of its database, %q, has a character that does not show; take that out", database)
	}
	if err := checkEffect(all); err != nil {
		return nil, "", fmt.Errorf("read URL: %w", err)
	}
	return opts, database, nil
}

var quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|address .*`)

// hideQuoted returns the error's text without the parts of a URL that it
// quotes: where a URL is broken, any part may be the password.
func hideQuoted(err error) string {
	return quoted.ReplaceAllString(err.Error(), "…")
}
