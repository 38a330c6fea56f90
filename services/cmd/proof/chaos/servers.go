package main

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/services/cmd/proof/harness"
)

// servers are reached directly here, not through a proxy.
type servers struct {
	*harness.Servers
	database harness.Database
	root     string          // folder of the product's module
	ours     map[string]bool // servers that .ci/services started and can stop
}

func openServers(ctx context.Context, storeURL, brokerURL, database string) (*servers, error) {
	opened, err := harness.OpenServers(storeURL, brokerURL)
	if err != nil {
		return nil, err
	}
	s := &servers{Servers: opened, ours: make(map[string]bool)}
	if s.root, err = harness.Root(ctx); err != nil {
		return nil, err
	}
	for _, server := range []struct {
		name   string
		url    *url.URL
		scheme string
		port   string
	}{{serverStore, s.Store, "mongodb", "27017"}, {serverBroker, s.Broker, "amqp", "5672"}} {
		if server.url.Scheme != server.scheme || server.url.Hostname() == "" || server.url.Port() == "" {
			return nil, fmt.Errorf("--%s: give a URL like %s://HOST:PORT/, without TLS: the proxies read the traffic", server.name, server.scheme)
		}
		s.ours[server.name] = s.isOurs(ctx, server.name, server.url, server.port)
	}
	s.database = s.Database(database)
	return s, nil
}

// isOurs reports whether the server at the URL is the one that .ci/services started
// on this machine.
func (s *servers) isOurs(ctx context.Context, server string, u *url.URL, port string) bool {
	if !slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname()) || u.Port() != port {
		return false
	}
	out, _ := s.command(ctx, "status").Output() // its exit status is about all servers
	for line := range strings.Lines(string(out)) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[0] == server {
			return fields[1] == "up" && (fields[2] == "packages" || fields[2] == "docker")
		}
	}
	return false
}

func (s *servers) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.root, ".ci", "services"), args...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, "TEST_") })
	return cmd
}

// control runs .ci/services.
func (s *servers) control(ctx context.Context, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	if out, err := s.command(ctx, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("services %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// depths returns the number of messages in each queue. A missing queue is an
// error.
func (s *servers) depths() (map[string]int, error) {
	depths := make(map[string]int)
	err := s.WithChannel(func(ch *amqp.Channel) error {
		for _, name := range harness.Queues {
			q, err := ch.QueueDeclarePassive(name, true, false, false, false, nil)
			if err != nil {
				return fmt.Errorf("read the depth of queue %s: %w", name, err)
			}
			depths[name] = q.Messages
		}
		return nil
	})
	return depths, err
}

// restore starts the servers that were stopped, and waits until they answer.
func (s *servers) restore(ctx context.Context) error {
	for server, ours := range s.ours {
		if ours {
			if err := s.control(ctx, "start", server); err != nil {
				return err
			}
		}
	}
	return nil
}
