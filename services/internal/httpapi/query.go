package httpapi

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"example.com/orderflow/domain"
)

// Query returns the request's query parameters, each at most once and of the
// names given: a misspelt filter must not silently ask for everything.
func Query(r *http.Request, names ...string) (map[string]string, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, Malformed("the query can't be read: it is not form-encoded")
	}
	query := make(map[string]string, len(names))
	var faults []domain.FieldError
	for name, v := range values {
		switch {
		case !slices.Contains(names, name):
			faults = append(faults, domain.FieldError{Field: name, Reason: "is not a parameter of this path; known: " + strings.Join(names, ", ")})
		case len(v) > 1:
			faults = append(faults, domain.FieldError{Field: name, Reason: "is given more than once"})
		default:
			query[name] = v[0]
		}
	}
	if len(faults) > 0 {
		slices.SortFunc(faults, func(a, b domain.FieldError) int { return strings.Compare(a.Field, b.Field) })
		return nil, Invalid(faults...)
	}
	return query, nil
}
