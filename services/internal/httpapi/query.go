package httpapi

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"example.com/orderflow/domain"
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

// Bound is a time that a parameter or a flag gives.
type Bound struct{ Name, Text string } // Text is in RFC 3339; empty: no bound

// TimeParameter returns the bound that the query gives by this name. It restores the
// plus sign of a zone, which the form encoding reads as a space.
func TimeParameter(query map[string]string, name string) Bound {
	return Bound{name, strings.ReplaceAll(query[name], " ", "+")}
}

// Period returns the times of a period that includes from and excludes to, and the faults
// of both. Stored times are whole milliseconds, so a time between two of them is
// replaced by the later one.
func Period(from, to Bound) (start, end time.Time, faults []domain.FieldError) {
	parse := func(b Bound) (at time.Time, ok bool) {
		if b.Text == "" {
			return at, false
		}
		at, err := time.Parse(time.RFC3339, b.Text)
		if err != nil || !domain.IsWritable(at) {
			faults = append(faults, domain.FieldError{Field: b.Name, Reason: "must be a time such as 2026-11-23T10:00:00Z"})
			return time.Time{}, false
		}
		return domain.TruncateTime(at.Add(time.Millisecond - 1)), true
	}
	start, _ = parse(from)
	end, ok := parse(to)
	if ok && !start.Before(end) { // a zero end would be no bound
		faults = append(faults, domain.FieldError{Field: to.Name, Reason: "must be later than " + from.Name})
	}
	return start, end, faults
}
