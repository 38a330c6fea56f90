package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/adapters/mongodb"
	"example.com/orderflow/adapters/rabbitmq"
	"example.com/orderflow/ports"
)

// Store is what a store's URL opens.
type Store struct {
	Orders interface {
		ports.OrderRepository
		ports.Outbox
	}
	Deliveries  ports.DeliveryLog
	DeadLetters ports.DeadLetters
	ports.Pinger
	Close func() // the connection, if there is one
}

func nothing() {}

// OpenStore opens the store that the URL names and waits until it answers.
func (c *Common) OpenStore(ctx context.Context, log *slog.Logger) (*Store, error) {
	switch scheme, err := scheme(c.Store); {
	case err != nil:
		return nil, c.storeError(err)
	case scheme == "memory":
		s := new(memory.Store)
		return &Store{s.Orders(), s.Deliveries(), s.DeadLetters(), s, nothing}, nil
	case scheme == "mongodb" || scheme == "mongodb+srv":
		var db *mongodb.Store
		err := waitFor(ctx, "store", c.StartTimeout, log, func(ctx context.Context) (err error) {
			db, err = mongodb.Open(ctx, c.Store, mongodb.Options{Logger: log})
			return err
		})
		if err != nil {
			return nil, c.storeError(err)
		}
		return &Store{db.Orders(), db.Deliveries(), db.DeadLetters(), db, c.closing("store", db.Close, log)}, nil
	default:
		return nil, c.storeError(fmt.Errorf("no store for the scheme %q; give a URL that begins with mongodb:, mongodb+srv: or memory: instead", scheme))
	}
}

// Broker is what a broker's URL opens, or a part of it.
type Broker struct {
	Publisher interface {
		ports.EventPublisher
		ports.Pinger
	}
	Consumer interface {
		ports.EventConsumer
		ports.Pinger
	}
	DeadLetters ports.DeadLetterQueue
	Close       func() // the connections, if there are any

	Policies        func(context.Context) error // returns which of the broker's would lose events; nil: it has none
	checkedPolicies sync.Once
}

// closing bounds the closing of a connection.
func (c *Common) closing(what string, connection func(context.Context) error, log *slog.Logger) func() {
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), c.closeTimeout())
		defer cancel()
		if err := connection(ctx); err != nil {
			log.Warn("connection to the "+what+" not closed cleanly", "error", err)
		}
	}
}

var errMemoryBroker = errors.New("it carries events within one process only, and nothing else in this one would take them; give amqp: or amqps:, or run allinone")

// OpenPublisher opens the broker for publishing; it does not wait for it.
func (c *Common) OpenPublisher(log *slog.Logger) (*Broker, error) {
	if err := c.checkBroker(); err != nil {
		return nil, c.brokerError(err)
	}
	return c.openRabbitMQ(0, log)
}

// OpenConsumer opens the broker for consuming; it does not wait for it.
func (c *Common) OpenConsumer(s *Consuming, log *slog.Logger) (*Broker, error) {
	if err := c.checkBroker(); err != nil {
		return nil, c.brokerError(err)
	}
	return c.openRabbitMQ(s.Prefetch, log)
}

// OpenDeadLetterQueue opens the broker for its dead letters; it does not wait
// for it.
func (c *Common) OpenDeadLetterQueue(log *slog.Logger) (*Broker, error) {
	if err := c.checkBroker(); err != nil {
		return nil, c.brokerError(err)
	}
	return c.openRabbitMQ(0, log)
}

// OpenBroker opens the broker in both directions.
func (c *Common) OpenBroker(s *Consuming, log *slog.Logger) (*Broker, error) {
	if scheme, err := scheme(c.Broker); err == nil && scheme == "memory" {
		b := &memory.Broker{StopTimeout: c.handlersStopTimeout(), Prefetch: s.Prefetch, Logger: log}
		return &Broker{Publisher: b.Publisher(), Consumer: b.Consumer(), DeadLetters: b.DeadLetterQueue(), Close: nothing}, nil
	}
	return c.OpenConsumer(s, log)
}

func (c *Common) openRabbitMQ(prefetch int, log *slog.Logger) (*Broker, error) {
	b, err := rabbitmq.Open(c.Broker, rabbitmq.Options{Prefetch: prefetch, StopTimeout: c.handlersStopTimeout(), Logger: log})
	if err != nil {
		return nil, c.brokerError(err)
	}
	return &Broker{
		Publisher: b.Publisher(), Consumer: b.Consumer(), DeadLetters: b.DeadLetterQueue(),
		Close: c.closing("broker", b.Close, log), Policies: c.losingPolicies,
	}, nil
}

// losingPolicies returns which of the broker's policies would lose events.
func (c *Common) losingPolicies(ctx context.Context) error {
	return rabbitmq.CheckPolicies(ctx, c.BrokerManagement, c.Broker, rabbitmq.Topology{})
}

// CheckStoreOutlivesProcess refuses a store that no other process can see.
func (c *Common) CheckStoreOutlivesProcess() error {
	if scheme, err := scheme(c.Store); err == nil && scheme == "memory" {
		return c.storeError(errors.New("it keeps everything within its own process; ask that process, at its --admin-addr, or give a URL that begins with mongodb: instead"))
	}
	return nil
}

func (c *Common) checkBroker() error {
	switch scheme, err := scheme(c.Broker); {
	case err != nil:
		return err
	case scheme == "memory":
		return errMemoryBroker
	case scheme != "amqp" && scheme != "amqps":
		return fmt.Errorf("no broker for the scheme %q; give a URL that begins with amqp: or amqps:, or run allinone with memory: instead", scheme)
	}
	return nil
}

func scheme(address string) (string, error) {
	if address == "" {
		return "", errors.New("it is empty; leave the variable unset for the default")
	}
	scheme, _, found := strings.Cut(address, ":")
	if !found || scheme == "" {
		return "", errors.New("it is no URL; give mongodb://localhost:27017/orders, amqp://localhost:5672/ or the like")
	}
	return scheme, nil
}

func (c *Common) storeError(err error) error {
	return settingError("--store", c.Store, err)
}

func (c *Common) brokerError(err error) error {
	return settingError("--broker", c.Broker, err)
}

func settingError(flag, url string, err error) error {
	return fmt.Errorf("%s: %q: %w", flag, shown(url), err)
}
