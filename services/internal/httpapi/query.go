package httpapi

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// Parameter is a parameter of a query.
type Parameter struct {
	Name string

	// Without ends the advice "leave it out to …". It is empty for a required
	// parameter.
	Without string
}

func (p Parameter) name() string { return p.Name }

// Query returns the values of the request's query parameters. It refuses unknown,
// repeated and empty ones: a misspelt or empty filter must not silently return
// everything.
func Query(r *http.Request, parameters ...Parameter) (map[string]string, error) {
	query := make(map[string]string, len(parameters))
	var f faults
	for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
		if pair == "" {
			continue
		}
		name, value, err := unescapePair(pair)
		if err != nil {
			return nil, Malformed("the query can't be parsed: it is not form-encoded")
		}
		i := slices.IndexFunc(parameters, func(p Parameter) bool { return p.Name == name })
		if i < 0 {
			addUnknown(&f, name, parameters, Parameter.name, "a parameter of ", "this path")
			continue
		}
		if _, given := query[name]; given {
			f.add(name, "is given more than once")
		} else {
			f.add(name, checkValue(value, parameters[i].Without))
		}
		query[name] = value
	}
	return query, f.err()
}

func unescapePair(pair string) (name, value string, err error) {
	if strings.Contains(pair, ";") { // some servers take it as a separator
		return "", "", url.EscapeError(";")
	}
	name, value, _ = strings.Cut(pair, "=")
	if name, err = url.QueryUnescape(name); err == nil {
		value, err = url.QueryUnescape(value)
	}
	return name, value, err
}

func checkValue(value, without string) (reason string) {
	switch {
	case value == "" && without == "":
		return "is empty"
	case value == "":
		return "is empty; leave it out to " + without
	case !utf8.ValidString(value) || strings.Contains(value, "\x00"): // stores refuse it
		return "must be valid UTF-8 without U+0000"
	}
	return ""
}
