package harness

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// The names that the services give their queues and collections.
const (
	MainQueue       = "order_created"
	DeadLetterQueue = MainQueue + ".dead-letter"

	Orders     = "orders"
	Claims     = "delivery_claims"
	Deliveries = "deliveries"
	Pauses     = "pauses"
)

// Notified marks the log line that is a notification.
const Notified = `"msg":"Received order"`

// Queues are all queues of the services.
var Queues = slices.Concat(
	eventQueues(MainQueue), eventQueues(MainQueue+"."+Email), eventQueues(MainQueue+"."+Webhook),
	[]string{DeadLetterQueue, MainQueue + ".unreadable"},
)

// eventQueues returns a queue of events and its retry queues.
func eventQueues(name string) []string {
	return []string{name, name + ".retry.1s", name + ".retry.10s", name + ".retry.1m", name + ".retry.10m"}
}

// Servers are the real ones.
type Servers struct {
	Store, Broker *url.URL
	client        *mongo.Client
}

// OpenServers checks the URLs. It connects to neither server yet.
func OpenServers(store, broker string) (*Servers, error) {
	storeURL, err := url.Parse(store)
	if err != nil || storeURL.Scheme != "mongodb" && storeURL.Scheme != "mongodb+srv" {
		return nil, errors.New("--store: give a URL like mongodb://HOST:PORT/")
	}
	brokerURL, err := url.Parse(broker)
	if err == nil {
		_, err = amqp.ParseURI(broker)
	}
	if err != nil {
		return nil, errors.New("--broker: give a URL like amqp://USER:PASSWORD@HOST:PORT/VHOST")
	}
	client, err := mongo.Connect(options.Client().ApplyURI(store).
		SetServerSelectionTimeout(5 * time.Second).SetTimeout(2 * time.Minute))
	if err != nil {
		return nil, errors.New("--store: the driver refuses this URL; give one like mongodb://HOST:PORT/")
	}
	return &Servers{storeURL, brokerURL, client}, nil
}

// Close disconnects from the store.
func (s *Servers) Close(ctx context.Context) error { return s.client.Disconnect(ctx) }

// Database is a database with the URL that names it.
type Database struct {
	*mongo.Database
	URL *url.URL
}

func (s *Servers) Database(name string) Database {
	u := *s.Store
	u.Path, u.RawPath = "/"+name, ""
	return Database{s.client.Database(name), &u}
}

// Waiting counts the orders whose event is in the outbox, and that match the filter.
func (d Database) Waiting(ctx context.Context, filter bson.M) (int, error) {
	waiting := bson.M{"outbox": bson.M{"$exists": true}}
	maps.Copy(waiting, filter)
	return d.CountIn(ctx, Orders, waiting)
}

// Count counts a collection's documents.
func (d Database) Count(ctx context.Context, collection string) (int, error) {
	return d.CountIn(ctx, collection, bson.M{})
}

// Recorded counts the notifications of the channels, and those of them that wait. No
// channel means all.
func (d Database) Recorded(ctx context.Context, channels ...string) (all, waiting int, err error) {
	filter := bson.M{}
	if len(channels) > 0 {
		filter["_id.channel"] = bson.M{"$in": channels}
	}
	if all, err = d.CountIn(ctx, Deliveries, filter); err == nil {
		filter["wait.next_try"] = bson.M{"$exists": true}
		waiting, err = d.CountIn(ctx, Deliveries, filter)
	}
	return all, waiting, err
}

// CountIn counts the collection's documents that match the filter.
func (d Database) CountIn(ctx context.Context, collection string, filter bson.M) (int, error) {
	n, err := d.Collection(collection).CountDocuments(ctx, filter)
	if err != nil {
		return 0, fmt.Errorf("count %s: %w", collection, err)
	}
	return int(n), nil
}

// VHost is the broker's virtual host.
func (s *Servers) VHost() string {
	uri, _ := amqp.ParseURI(s.Broker.String()) // OpenServers has checked it
	return uri.Vhost
}

// DialBroker is how to reach the broker's address.
var DialBroker = amqp.DefaultDial(5 * time.Second)

// Connect connects to the broker.
func (s *Servers) Connect(dial func(network, addr string) (net.Conn, error)) (*amqp.Connection, error) {
	connection, err := amqp.DialConfig(s.Broker.String(), amqp.Config{Heartbeat: 10 * time.Second, Dial: dial})
	if err != nil {
		return nil, fmt.Errorf("connect to the broker: %w", err)
	}
	return connection, nil
}

// WithChannel runs f on a connection of its own. A broker that stops answering
// can't hold it up for longer than 20 s.
func (s *Servers) WithChannel(f func(*amqp.Channel) error) error {
	connection, err := s.Connect(DialBroker)
	if err != nil {
		return err
	}
	defer time.AfterFunc(20*time.Second, func() { connection.CloseDeadline(time.Now()) }).Stop()
	defer connection.CloseDeadline(time.Now().Add(2 * time.Second))
	channel, err := connection.Channel()
	if err != nil {
		return fmt.Errorf("open a channel: %w", err)
	}
	return f(channel)
}

var errConsumers = errors.New("it has consumers: stop them, or name another broker or virtual host")

// Clean deletes the queues. It waits 5 s for their consumers to leave, and then
// refuses. It also refuses to delete messages that are to be spared.
func (s *Servers) Clean(ctx context.Context, spare bool, queues ...string) error {
	for end := time.Now().Add(5 * time.Second); ; {
		var err error
		for _, name := range queues {
			if err = s.WithChannel(func(ch *amqp.Channel) error { return deleteQueue(ch, name, spare) }); err != nil {
				err = fmt.Errorf("clean the broker: queue %s: %w", name, err)
				break
			}
		}
		if !errors.Is(err, errConsumers) || time.Now().After(end) || !Sleep(ctx, 100*time.Millisecond) {
			return err
		}
	}
}

func deleteQueue(channel *amqp.Channel, name string, spare bool) error {
	queue, err := channel.QueueDeclarePassive(name, true, false, false, false, nil)
	var refused *amqp.Error
	switch {
	case errors.As(err, &refused) && refused.Code == amqp.NotFound:
		return nil
	case err != nil:
		return err
	case queue.Consumers > 0:
		return errConsumers
	case spare && queue.Messages > 0:
		return fmt.Errorf("it has %d messages, and in the default virtual host they may be somebody's: "+
			"delete it yourself, or name another virtual host", queue.Messages)
	}
	_, err = channel.QueueDelete(name, false, false, false)
	return err
}
