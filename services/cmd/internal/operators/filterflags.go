package operators

import "example.com/orderflow/services/cmd/internal/app"

// filterFlag is the flag of a filter; nil: it was left out.
type filterFlag struct {
	name  string
	given *string
	to    *string // the filter's field
}

// setFilter sets the fields of the flags that were given. It refuses empty ones: a script
// whose variable is empty must not select everything.
func setFilter(flags ...filterFlag) error {
	for _, f := range flags {
		if f.given == nil {
			continue
		}
		if *f.to = *f.given; *f.to == "" {
			return app.UsageErrorf("--%s: it is empty; give a value, or leave the flag out", f.name)
		}
	}
	return nil
}

func checkLimit(limit int) error {
	if limit < 0 {
		return app.UsageErrorf("--limit: %d is out of range; give 1 or more, or leave the flag out for all", limit)
	}
	return nil
}
