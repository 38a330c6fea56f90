package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// The queues of the ways, and the one of the executables with those that
// belong to it.
const (
	ourQueue      = "order_created"
	originalQueue = "bench_original"
	usualQueue    = "bench_usual"
	ceilingQueue  = "bench_ceiling"
)

var queues = []string{
	ourQueue, ourQueue + ".retry.1s", ourQueue + ".retry.10s", ourQueue + ".retry.1m", ourQueue + ".retry.10m", ourQueue + ".dead-letter", ourQueue + ".unreadable",
	originalQueue, usualQueue, ceilingQueue,
}

// servers are the real ones.
type servers struct {
	store     *url.URL
	broker    string
	spare     bool // messages of whoever else uses the virtual host
	client    *mongo.Client
	databases []string // made here, and not dropped yet
}

// database is one of the run's own.
type database struct {
	*mongo.Database
	url string
}

func openServers(store, broker string) (*servers, error) {
	u, err := url.Parse(store)
	if err != nil || u.Scheme != "mongodb" && u.Scheme != "mongodb+srv" {
		return nil, errors.New("--store: give a URL like mongodb://HOST:PORT/")
	}
	uri, err := amqp.ParseURI(broker)
	if err != nil {
		return nil, errors.New("--broker: give a URL like amqp://USER:PASSWORD@HOST:PORT/VHOST")
	}
	client, err := mongo.Connect(options.Client().ApplyURI(store).
		SetServerSelectionTimeout(5 * time.Second).SetTimeout(2 * time.Minute))
	if err != nil {
		return nil, errors.New("--store: the driver does not take this URL")
	}
	return &servers{store: u, broker: broker, spare: uri.Vhost == "/", client: client}, nil
}

// newDatabase names a database, which is there once it is written to.
func (s *servers) newDatabase() database {
	name := "bench_" + strings.ToLower(rand.Text())
	s.databases = append(s.databases, name)
	u := *s.store
	u.Path = "/" + name
	return database{s.client.Database(name), u.String()}
}

// close drops what is left and disconnects.
func (s *servers) close(ctx context.Context) error {
	var errs []error
	for _, name := range s.databases {
		if err := s.client.Database(name).Drop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("drop database %s: %w", name, err))
		}
	}
	return errors.Join(append(errs, s.client.Disconnect(ctx))...)
}

func (s *servers) drop(ctx context.Context, d database) error {
	if err := d.Drop(ctx); err != nil {
		return fmt.Errorf("drop database %s: %w", d.Name(), err)
	}
	s.databases = slices.DeleteFunc(s.databases, func(name string) bool { return name == d.Name() })
	return nil
}

type dialFunc func(network, address string) (net.Conn, error)

var dialBroker dialFunc = amqp.DefaultDial(5 * time.Second)

func (s *servers) connect(dial dialFunc) (*amqp.Connection, error) {
	connection, err := amqp.DialConfig(s.broker, amqp.Config{Heartbeat: 10 * time.Second, Dial: dial})
	if err != nil {
		return nil, fmt.Errorf("connect to the broker: %w", err)
	}
	return connection, nil
}

// clean deletes the queues, unless somebody uses them; whoever is just going
// may take a moment. In the virtual host that everybody has by default, the
// first time, it deletes none with messages: they are not of this run.
func (s *servers) clean(ctx context.Context) error {
	for end := time.Now().Add(5 * time.Second); ; {
		err := s.deleteQueues()
		if !errors.Is(err, errConsumers) || time.Now().After(end) {
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

func (s *servers) deleteQueues() error {
	connection, err := s.connect(dialBroker)
	if err != nil {
		return err
	}
	defer connection.Close()
	for _, name := range queues {
		if err := deleteQueue(connection, name, s.spare); err != nil {
			return fmt.Errorf("clean the broker: queue %s: %w", name, err)
		}
	}
	s.spare = false
	return nil
}

var errConsumers = errors.New("it has consumers: stop them, or name another broker or virtual host")

// deleteQueue refuses to delete one with messages if they are to be spared.
func deleteQueue(connection *amqp.Connection, name string, spare bool) error {
	channel, err := connection.Channel()
	if err != nil {
		return err
	}
	defer channel.Close()
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

// versions returns what the servers say they are.
func (s *servers) versions(ctx context.Context) (store, broker string, err error) {
	var info struct {
		Version  string
		FerretDB struct{ Version string } `bson:"ferretdb"`
	}
	if err := s.client.Database("admin").RunCommand(ctx, bson.D{{Key: "buildInfo", Value: 1}}).Decode(&info); err != nil {
		return "", "", fmt.Errorf("ask the store for its version: %w", err)
	}
	store = "MongoDB " + info.Version
	if v := info.FerretDB.Version; v != "" {
		store = "FerretDB " + v + " (as MongoDB " + info.Version + ")"
	}
	connection, err := s.connect(dialBroker)
	if err != nil {
		return "", "", err
	}
	defer connection.Close()
	return store, fmt.Sprintf("%v %v", connection.Properties["product"], connection.Properties["version"]), nil
}
