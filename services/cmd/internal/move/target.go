package move

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"example.com/orderflow/adapters/mongodb"
	"example.com/orderflow/adapters/sqlite"
)

// closeTimeout bounds the closing of a store.
const closeTimeout = 10 * time.Second

// OpenSource opens the file that the URL names, even if its data was moved before.
func OpenSource(ctx context.Context, url string, log *slog.Logger) (_ *sqlite.Store, closing func(), err error) {
	store, err := sqlite.Open(ctx, url, sqlite.Options{Logger: log, Moved: true})
	if err != nil {
		return nil, nil, err
	}
	return store, closer(store.Close, log), nil
}

// OpenTarget opens the store that the URL names.
func OpenTarget(ctx context.Context, url string, log *slog.Logger) (target Target, closing func(), err error) {
	switch scheme, _, _ := strings.Cut(url, ":"); scheme {
	case "mongodb", "mongodb+srv":
		s, err := mongodb.Open(ctx, url, mongodb.Options{Logger: log})
		if err != nil {
			return target, nil, err
		}
		return Target{s.Orders(), s.Deliveries(), s.DeadLetters(), s.Contacts(), s.ChannelStates(), s.OperatorActions()}, closer(s.Close, log), nil
	case "sqlite":
		s, err := sqlite.Open(ctx, url, sqlite.Options{Logger: log})
		if err != nil {
			return target, nil, err
		}
		return Target{s.Orders(), s.Deliveries(), s.DeadLetters(), s.Contacts(), s.ChannelStates(), s.OperatorActions()}, closer(s.Close, log), nil
	case "memory":
		return target, nil, errors.New("a store in memory keeps nothing; give a URL that begins with mongodb:, mongodb+srv: or sqlite: instead")
	default:
		return target, nil, fmt.Errorf("no store has the scheme %q; give a URL that begins with mongodb:, mongodb+srv: or sqlite: instead", scheme)
	}
}

func closer(closing func(context.Context) error, log *slog.Logger) func() {
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		if err := closing(ctx); err != nil {
			log.Warn("a store did not close cleanly", "error", err)
		}
	}
}
