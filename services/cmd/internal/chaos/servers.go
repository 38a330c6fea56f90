package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// servers are the real ones, reached directly and not through a proxy.
type servers struct {
	module   string // its folder
	store    *url.URL
	broker   *url.URL
	database *mongo.Database
	ours     map[string]bool // which of them can be stopped and started here
}

var queues = []string{mainQueue, mainQueue + ".retry.1s", mainQueue + ".retry.10s", mainQueue + ".retry.1m", mainQueue + ".retry.10m", deadLetterQueue, mainQueue + ".unreadable"}

func openServers(ctx context.Context, storeURL, brokerURL, database string) (*servers, error) {
	s := &servers{ours: make(map[string]bool)}
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return nil, fmt.Errorf("find the module: %w", err)
	}
	s.module = filepath.Dir(strings.TrimSpace(string(out)))
	for _, u := range []struct {
		to                         **url.URL
		text, scheme, name, server string
		port                       string
	}{
		{&s.store, storeURL, "mongodb", "store", serverStore, "27017"},
		{&s.broker, brokerURL, "amqp", "broker", serverBroker, "5672"},
	} {
		parsed, err := url.Parse(u.text)
		if err != nil || parsed.Scheme != u.scheme || parsed.Hostname() == "" {
			return nil, fmt.Errorf("--%s: give a URL like %s://HOST:PORT/, without TLS: the proxies read what passes", u.name, u.scheme)
		}
		if parsed.Port() == "" {
			parsed.Host = net.JoinHostPort(parsed.Hostname(), u.port)
		}
		*u.to = parsed
		s.ours[u.server] = s.canRestart(ctx, u.server, parsed, u.port)
	}
	s.store.Path = "/" + database
	client, err := mongo.Connect(options.Client().ApplyURI(s.store.String()).SetServerSelectionTimeout(5 * time.Second).SetTimeout(30 * time.Second))
	if err != nil {
		return nil, fmt.Errorf("open store at %s: %w", s.store.Host, err)
	}
	s.database = client.Database(database)
	return s, nil
}

// canRestart reports whether the server at the URL is the one that the script
// has started on this machine.
func (s *servers) canRestart(ctx context.Context, server string, u *url.URL, port string) bool {
	local := []string{"localhost", "127.0.0.1", "::1"}
	if !slices.Contains(local, u.Hostname()) || u.Port() != port {
		return false
	}
	out, _ := s.control(ctx, "status") // its exit status tells of other servers too
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) > 2 && fields[0] == server {
			return fields[1] == "up" && (fields[2] == "packages" || fields[2] == "docker")
		}
	}
	return false
}

// control runs the script that brings servers up and down.
func (s *servers) control(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(s.module, ".ci", "services"), args...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, "TEST_") })
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("services %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(errOut.Bytes()))
	}
	return out.String(), nil
}

func (s *servers) rabbitmqctl(ctx context.Context, args ...string) error {
	_, err := s.control(ctx, append([]string{"rabbitmqctl", "--quiet"}, args...)...)
	return err
}

func (s *servers) vhost() string {
	uri, err := amqp.ParseURI(s.broker.String())
	if err != nil {
		return "/"
	}
	return uri.Vhost
}

// withChannel runs f on a connection of its own to the broker.
func (s *servers) withChannel(f func(*amqp.Channel) error) error {
	connection, err := amqp.DialConfig(s.broker.String(), amqp.Config{
		Heartbeat: 10 * time.Second, Dial: amqp.DefaultDial(5 * time.Second),
	})
	if err != nil {
		return fmt.Errorf("connect to the broker: %w", err)
	}
	// A broker that stops answering may hold up f; closing the socket frees it.
	defer time.AfterFunc(20*time.Second, func() { connection.CloseDeadline(time.Now()) }).Stop()
	defer connection.CloseDeadline(time.Now().Add(2 * time.Second))
	channel, err := connection.Channel()
	if err != nil {
		return fmt.Errorf("open a channel: %w", err)
	}
	return f(channel)
}

// clean deletes the queues, unless somebody uses them.
func (s *servers) clean() error {
	for _, name := range queues {
		err := s.withChannel(func(ch *amqp.Channel) error {
			q, err := ch.QueueDeclarePassive(name, true, false, false, false, nil)
			if err != nil {
				return nil // there is none
			}
			if q.Consumers > 0 {
				return fmt.Errorf("queue %s has consumers: stop them, or name another broker or virtual host", name)
			}
			_, err = ch.QueueDelete(name, false, false, false)
			return err
		})
		if err != nil {
			return fmt.Errorf("clean the broker: %w", err)
		}
	}
	return nil
}

// depths returns how many messages are ready in each queue that is there.
func (s *servers) depths() (map[string]int, error) {
	depths := make(map[string]int)
	err := s.withChannel(func(ch *amqp.Channel) error {
		for _, name := range queues {
			q, err := ch.QueueDeclarePassive(name, true, false, false, false, nil)
			if err != nil {
				return err
			}
			depths[name] = q.Messages
		}
		return nil
	})
	return depths, err
}

// restore starts what was stopped here, and waits until it answers.
func (s *servers) restore(ctx context.Context) error {
	for _, server := range []string{serverStore, serverBroker} {
		if s.ours[server] {
			if _, err := s.control(ctx, "start", server); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *servers) close(ctx context.Context, drop bool) error {
	defer s.database.Client().Disconnect(ctx)
	if !drop {
		return nil
	}
	return s.database.Drop(ctx)
}
