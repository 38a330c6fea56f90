package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/adapters/rabbitmq"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/deadletters"
)

// Broker has the parts of the broker that the URL names.
type Broker struct {
	Publisher interface {
		ports.EventPublisher
		ports.Pinger
	}
	Consumers   ports.Pinger // answers while the queue of each channel is consumed
	DeadLetters ports.DeadLetterQueue
	Queue       func(channel string) ports.EventQueue
	Close       func()

	policies        func(context.Context) error // its errors name policies that would lose events
	checkedPolicies sync.Once
}

// BrokerOptions say how a program uses the broker.
type BrokerOptions struct {
	Prefetch  int       // of the channel log's queue; 0: the default
	Channels  *Channels // whose queues are consumed; nil: none
	InProcess bool      // both services are in this process, so the broker may be in memory
}

// OpenBroker opens the broker that the URL names, without waiting for it unless it is a
// file.
func (c *Common) OpenBroker(ctx context.Context, options BrokerOptions, log *slog.Logger) (*Broker, error) {
	scheme, err := scheme(c.Broker, "amqp://guest:guest@localhost:5672/")
	switch {
	case err != nil:
	case scheme == "memory" && options.InProcess:
		b := &memory.Broker{StopTimeout: c.HandlersStopTimeout(), Prefetch: options.Prefetch, SubscriptionPrefetch: options.Channels.prefetch(), Logger: log}
		queue := func(channel string) ports.EventQueue { return b.Subscription(deadletters.SubscriptionOf(channel)) }
		return &Broker{
			Publisher: b.Publisher(), Consumers: options.Channels.consumers(queue), DeadLetters: b.DeadLetterQueue(), Queue: queue,
			Close: c.closing("broker", b.Close, log),
		}, nil
	case scheme == "memory":
		err = errors.New("a broker in memory carries events within one process, so both services must run in that process; give a URL that begins with amqp:, amqps: or sqlite:, or run orderflow")
	case scheme == "amqp" || scheme == "amqps":
		var b *rabbitmq.Broker
		if b, err = rabbitmq.Open(c.Broker, rabbitmq.Options{
			StopTimeout: c.HandlersStopTimeout(), Prefetch: options.Prefetch, SubscriptionPrefetch: options.Channels.prefetch(), Logger: log,
		}); err == nil {
			queue := func(channel string) ports.EventQueue { return b.Subscription(deadletters.SubscriptionOf(channel)) }
			return &Broker{
				Publisher: b.Publisher(), Consumers: options.Channels.consumers(queue), DeadLetters: b.DeadLetterQueue(), Queue: queue,
				Close: c.closing("broker", b.Close, log),
				policies: func(ctx context.Context) error {
					return rabbitmq.CheckPolicies(ctx, c.BrokerManagement, c.Broker, rabbitmq.Topology{}, slices.Collect(maps.Keys(options.Channels.prefetch()))...)
				},
			}, nil
		}
	case scheme == "sqlite":
		s, closeFile, err := c.openFile(ctx, c.Broker, options, log)
		if err != nil {
			return nil, c.fileError("--broker", c.Broker, err)
		}
		queue := func(channel string) ports.EventQueue { return s.Subscription(deadletters.SubscriptionOf(channel)) }
		return &Broker{
			Publisher: s.Publisher(), Consumers: options.Channels.consumers(queue), DeadLetters: s.DeadLetterQueue(), Queue: queue, Close: closeFile,
		}, nil
	default:
		err = fmt.Errorf("no broker has the scheme %q; give a URL that begins with amqp:, amqps: or sqlite:, or run orderflow with memory: instead", scheme)
	}
	return nil, settingError("--broker", c.Broker, err)
}

// CheckBrokerExists refuses a file that does not exist, which no service has used.
func (c *Common) CheckBrokerExists() error {
	if !isFile(c.Broker) {
		return nil
	}
	_, err := c.ExistingFile("--broker", c.Broker)
	return err
}

// OnBroker returns a component whose errors name the setting of the broker.
func (c *Common) OnBroker(name string, run func(context.Context) error) Component {
	return Component{Name: name, Run: func(ctx context.Context) error {
		if err := run(ctx); err != nil {
			return settingError("--broker", c.Broker, err)
		}
		return nil
	}}
}

// AwaitPublisher returns the component that waits for the broker and checks its
// policies, while the order service takes orders without the broker. It fails only
// if the broker refuses the service: a person has to change the login or a right.
func (c *Common) AwaitPublisher(broker *Broker, log *slog.Logger) Component {
	return c.OnBroker("broker", func(ctx context.Context) error {
		err := waitFor(ctx, "broker", c.StartTimeout, log, broker.Publisher.Ping)
		if errors.Is(err, ports.ErrUnavailable) && !errors.Is(err, ports.ErrRefused) {
			log.Warn("the broker is unavailable; orders are taken, and their events wait in the outbox", "error", err)
			err = nil
		}
		return c.afterWait(ctx, broker, err, log)
	})
}

// AwaitConsumer returns the component that waits for the broker and checks its
// policies. It fails if the broker does not answer within the start timeout.
func (c *Common) AwaitConsumer(broker *Broker, log *slog.Logger) Component {
	return c.OnBroker("broker", func(ctx context.Context) error {
		return c.afterWait(ctx, broker, waitFor(ctx, "broker", c.StartTimeout, log, broker.Consumers.Ping), log)
	})
}

// afterWait checks the policies unless the wait for the broker has failed with err,
// and returns when ctx ends.
func (c *Common) afterWait(ctx context.Context, broker *Broker, err error, log *slog.Logger) error {
	switch {
	case errors.Is(err, errInterrupted):
		return nil
	case err != nil:
		return err
	}
	c.checkPolicies(ctx, broker, log)
	<-ctx.Done()
	return nil
}

// checkPolicies logs the broker's policies that would lose events, once for each
// Broker.
func (c *Common) checkPolicies(ctx context.Context, broker *Broker, log *slog.Logger) {
	if c.BrokerManagement == "" {
		return
	}
	broker.checkedPolicies.Do(func() {
		switch err := broker.policies(ctx); {
		case err == nil, ctx.Err() != nil:
		case errors.As(err, new(*rabbitmq.PolicyError)):
			log.Error("policies of the broker lose events", "error", err)
		default:
			log.Warn("the broker's policies could not be checked", "error", settingError("--broker-management", c.BrokerManagement, err))
		}
	})
}

// checkManagement refuses a wrong address of the management API.
func (c *Common) checkManagement() error {
	if c.BrokerManagement == "" {
		return nil
	}
	if err := rabbitmq.CheckManagementURL(c.BrokerManagement); err != nil {
		return settingError("--broker-management", c.BrokerManagement, err)
	}
	if !strings.HasPrefix(c.Broker, "amqp") {
		return settingError("--broker-management", c.BrokerManagement, errors.New("only RabbitMQ has policies; leave the setting empty"))
	}
	return nil
}

// HidesConsumers reports whether a command can't know how many consumers a queue has: a
// file's broker knows those of its own process.
func (c *Common) HidesConsumers() bool { return isFile(c.Broker) }
