package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/adapters/mongodb"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/notification"
)

// Store has the parts of the store at the URL.
type Store struct {
	Orders interface {
		ports.OrderRepository
		ports.Outbox
	}
	Deliveries  ports.DeliveryLog
	States      ports.ChannelStates
	Contacts    ports.Contacts
	DeadLetters ports.DeadLetters
	Actions     ports.OperatorActions
	ports.Pinger
	Count func(context.Context) (int, error) // returns how many orders it keeps; nil: that would take long
	Close func()
}

// ForControl returns the parts that [notification.Control] needs.
func (s *Store) ForControl() notification.Store {
	return notification.Store{Deliveries: s.Deliveries, States: s.States, Contacts: s.Contacts, DeadLetters: s.DeadLetters, Actions: s.Actions}
}

// Open opens the broker, without waiting for it unless it is a file, and the store.
func (c *Common) Open(ctx context.Context, options BrokerOptions, log *slog.Logger) (*Broker, *Store, error) {
	broker, err := c.OpenBroker(ctx, options, log)
	if err != nil {
		return nil, nil, err
	}
	store, err := c.OpenStore(ctx, log)
	if err != nil {
		broker.Close()
		return nil, nil, err
	}
	if err := c.observe(store, broker.Publisher); err != nil {
		store.Close()
		broker.Close()
		return nil, nil, err
	}
	return broker, store, nil
}

// OpenStore opens the store that the URL names and waits until it answers.
func (c *Common) OpenStore(ctx context.Context, log *slog.Logger) (*Store, error) {
	scheme, err := scheme(c.Store, "mongodb://localhost:27017/orders")
	switch {
	case err != nil:
	case scheme == "memory":
		s := new(memory.Store)
		return &Store{s.Orders(), s.Deliveries(), s.ChannelStates(), s.Contacts(), s.DeadLetters(), s.OperatorActions(), s, nil, c.closing("store", s.Close, log)}, nil
	case scheme == "mongodb" || scheme == "mongodb+srv":
		var s *mongodb.Store
		err = waitFor(ctx, "store", c.StartTimeout, log, func(ctx context.Context) (err error) {
			s, err = mongodb.Open(ctx, c.Store, mongodb.Options{Logger: log, KeepIndexes: !c.AutoIndex})
			return err
		})
		if err == nil {
			return &Store{s.Orders(), s.Deliveries(), s.ChannelStates(), s.Contacts(), s.DeadLetters(), s.OperatorActions(), s, nil, c.closing("store", s.Close, log)}, nil
		}
	case scheme == "sqlite":
		s, closeFile, err := c.openFile(ctx, c.Store, BrokerOptions{}, log)
		if err != nil {
			return nil, c.fileError("--store", c.Store, err)
		}
		return &Store{s.Orders(), s.Deliveries(), s.ChannelStates(), s.Contacts(), s.DeadLetters(), s.OperatorActions(), s, s.Orders().Count, closeFile}, nil
	default:
		err = fmt.Errorf("no store has the scheme %q; give a URL that begins with mongodb:, mongodb+srv:, sqlite: or memory: instead", scheme)
	}
	return nil, settingError("--store", c.Store, err)
}

// BuildIndexes builds the indexes of the store. ErrNoIndexes is returned when its indexes
// need no step of their own.
func (c *Common) BuildIndexes(ctx context.Context, log *slog.Logger, progress func(mongodb.IndexProgress)) error {
	scheme, err := scheme(c.Store, "mongodb://localhost:27017/orders")
	switch {
	case err != nil:
	case scheme == "mongodb" || scheme == "mongodb+srv":
		err = mongodb.BuildIndexes(ctx, c.Store, mongodb.Options{Logger: log}, progress)
	case scheme == "memory" || scheme == "sqlite":
		return ErrNoIndexes
	default:
		err = fmt.Errorf("no store has the scheme %q; give a URL that begins with mongodb:, mongodb+srv: or sqlite: instead", scheme)
	}
	if err != nil {
		return settingError("--store", c.Store, err)
	}
	return nil
}

// ErrNoIndexes is returned when a store makes its indexes with its tables.
var ErrNoIndexes = errors.New("the store makes its indexes with its tables")

// CheckStoreIsShared refuses a store in memory, which no other process can see, and a file
// that does not exist, which no service has used.
func (c *Common) CheckStoreIsShared() error {
	if isFile(c.Store) {
		_, err := c.ExistingFile("--store", c.Store)
		return err
	}
	if strings.HasPrefix(c.Store, "memory:") {
		return settingError("--store", c.Store, errors.New("only the service's own process sees a store in memory; "+
			"ask the service at its --admin-addr, or give a URL that begins with mongodb: or sqlite: instead"))
	}
	return nil
}

// closing returns a function that closes a connection within the close timeout.
func (c *Common) closing(what string, connection func(context.Context) error, log *slog.Logger) func() {
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), c.closeTimeout())
		defer cancel()
		if err := connection(ctx); err != nil {
			log.Warn("the connection to the "+what+" did not close cleanly", "error", err)
		}
	}
}

func scheme(url, example string) (string, error) {
	scheme, _, found := strings.Cut(url, ":")
	switch {
	case url == "":
		return "", errors.New("the value is empty; leave the variable unset for the default")
	case !found || scheme == "":
		return "", secretFree{fmt.Errorf("not a URL; give one such as %s", example)}
	}
	return scheme, nil
}

// isFile reports whether the URL names a file.
func isFile(url string) bool { return strings.HasPrefix(url, "sqlite:") }

func settingError(flag, url string, err error) error {
	return fmt.Errorf("%s: %q: %w", flag, Redact(Shown(url)), err)
}
