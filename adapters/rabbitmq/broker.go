package rabbitmq

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Broker hands out the parts that the services use, the same part each time.
// All have one topology.
type Broker struct {
	url         string
	options     Options
	publisher   *Publisher
	consumer    *Consumer
	deadLetters *DeadLetterQueue
}

// Options configure a [Broker]. All fields have useful zero values.
type Options struct {
	Topology      Topology
	Prefetch      int           // how many unacknowledged events a consumer holds at most; 0 or less: DefaultPrefetch
	HandleTimeout time.Duration // how long a handler may take; 0 or less: 30 s
	StopTimeout   time.Duration // how long a handler may take after Consume or Drain was stopped; 0 or less: 5 s
	Logger        *slog.Logger  // nil: slog.Default()
}

// Open returns the broker at the URL. It does not connect: each part connects
// when it is first used, and again when it has lost its connection. Open returns
// an error if the URL or one of its options can't be used, and an
// [*InvalidTopologyError] if RabbitMQ can't have the topology.
func Open(url string, options Options) (*Broker, error) {
	if err := checkURL(url); err != nil {
		return nil, err
	}
	options.Topology = options.Topology.withDefaults()
	if err := options.Topology.check(); err != nil {
		return nil, fmt.Errorf("open broker: %w", err)
	}
	options.Logger = cmp.Or(options.Logger, slog.Default())
	b := &Broker{url: url, options: options}
	b.publisher = newPublisher(b)
	b.consumer = newConsumer(b)
	b.deadLetters = newDeadLetterQueue(b)
	return b, nil
}

// Publisher returns the publisher. It has a connection of its own.
func (b *Broker) Publisher() *Publisher { return b.publisher }

// Consumer returns the consumer of the topology's queue. Each call of Consume has
// connections of its own.
func (b *Broker) Consumer() *Consumer { return b.consumer }

// DeadLetterQueue returns the queue of the dead letters. Each call of Drain has a
// connection of its own; all calls of Replay share another.
func (b *Broker) DeadLetterQueue() *DeadLetterQueue { return b.deadLetters }

// Close ends the connections of Publish and Replay. Their calls, pending and
// later ones, return [ports.ErrUnavailable]. Consume and Drain end with their
// contexts; call Close after they have returned.
func (b *Broker) Close(ctx context.Context) error {
	var parts sync.WaitGroup
	for _, l := range []*link{b.publisher.link, b.deadLetters.link} {
		parts.Go(func() { l.close(ctx) })
	}
	parts.Wait()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("close connections to the broker: %w", err)
	}
	return nil
}

func (b *Broker) endpoint(name string, routes []route) endpoint {
	return endpoint{b.url, name, b.options.Topology, routes, &stateLog{logger: b.options.Logger.With("connection", name)}}
}
