package cmd_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// servers returns the settings for real servers, with a database and a virtual host for
// this test alone.
func servers(t *testing.T) []string {
	t.Helper()
	store, broker := os.Getenv("TEST_STORE_URL"), os.Getenv("TEST_BROKER_URL")
	if store == "" || broker == "" {
		t.Skip("TEST_STORE_URL and TEST_BROKER_URL are not set")
	}
	u, err := url.Parse(store)
	if err != nil {
		t.Fatal("TEST_STORE_URL is not a URL")
	}
	database := "cmd_" + strings.ToLower(rand.Text())
	u.Path = "/" + database
	t.Cleanup(func() { dropDatabase(t, store, database) })
	return []string{"--store=" + u.String(), "--broker=" + newVhost(t, broker), "--log-format=json"}
}

// newVhost returns the URL of a new virtual host of the broker, which is deleted after the
// test. The management API makes it. By custom its port is the broker's plus 10000.
func newVhost(t *testing.T, broker string) string {
	t.Helper()
	u, err := url.Parse(broker)
	if err != nil {
		t.Fatal("TEST_BROKER_URL is not a URL")
	}
	uri, err := amqp.ParseURI(broker) // with its defaults
	if err != nil {
		t.Fatal("TEST_BROKER_URL is not the URL of a broker")
	}
	u.Host = net.JoinHostPort(uri.Host, fmt.Sprint(uri.Port))
	address, name := net.JoinHostPort(uri.Host, fmt.Sprint(10_000+uri.Port)), "cmd."+rand.Text()
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		t.Skipf("the broker of TEST_BROKER_URL has no management API on port %d", 10_000+uri.Port)
	}
	conn.Close()
	api := url.URL{Scheme: "http", User: url.UserPassword(uri.Username, uri.Password), Host: address, Path: "/api/vhosts/" + name}
	call := func(method string) {
		if status, err := fetch(method, api.String(), "{}", nil); err != nil || status >= 300 {
			t.Errorf("%s virtual host %s: %d, %v", method, name, status, err)
		}
	}
	call(http.MethodPut)
	t.Cleanup(func() { call(http.MethodDelete) })
	u.Path = "/" + name
	return u.String()
}

func dropDatabase(t *testing.T, url, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	client, err := mongo.Connect(options.Client().ApplyURI(url))
	if err == nil {
		err = errors.Join(client.Database(name).Drop(ctx), client.Disconnect(ctx))
	}
	if err != nil {
		t.Errorf("drop the test's database: %v", err)
	}
}

// The services may start in either order. Every order placed is stored, and
// notified once.
func TestPipeline(t *testing.T) {
	for _, order := range [][]string{{"order", "notification"}, {"notification", "order"}} {
		t.Run(order[0]+" first", func(t *testing.T) {
			settings := servers(t)
			address := map[string]string{"order": freeAddress(t), "notification": freeAddress(t)}
			processes := make(map[string]*process)
			for _, name := range order {
				processes[name] = start(t, name, append(settings, "--addr="+address[name])...)
				awaitReady(t, address[name])
			}

			const orders = 1000
			placed := placeOrders(t, address["order"], 16, orders)
			if len(placed) != orders {
				t.Fatalf("%d orders, want %d", len(placed), orders)
			}
			for id, want := range placed {
				var got map[string]any
				if status, err := fetch("GET", "http://"+address["order"]+"/orders/"+id, "", &got); err != nil || status != http.StatusOK {
					t.Fatalf("order %s: %d, %v", id, status, err)
				}
				if got["product"] != want {
					t.Errorf("order %s: %v, want product %s", id, got, want)
				}
				awaitSent(t, address["notification"], map[string]bool{id: true})
			}
			for _, p := range processes {
				p.stopWell(t, syscall.SIGTERM)
			}
			log := processes["notification"].out.String()
			for line := range strings.Lines(log) {
				if !json.Valid([]byte(line)) {
					t.Fatalf("not a JSON line: %q", line)
				}
			}
			lines := notificationLines(log)
			want := make(map[string]int)
			for id := range maps.Keys(placed) {
				want[id] = 1
			}
			if !maps.Equal(lines, want) {
				t.Errorf("%d of %d orders have exactly one line each", len(lines), len(want))
			}
		})
	}
}

// SIGTERM under load loses no order that was answered with 201.
func TestStopUnderLoad(t *testing.T) {
	settings := servers(t)
	orders, notifications := freeAddress(t), freeAddress(t)
	order := start(t, "order", append(settings, "--addr="+orders)...)
	notifier := start(t, "notification", append(settings, "--addr="+notifications)...)
	awaitReady(t, orders)
	awaitReady(t, notifications)

	load := startLoad(t, orders, 16)
	load.awaitMore(t, 200)
	order.stopWell(t, syscall.SIGTERM)
	awaitSent(t, notifications, load.stop())
	notifier.stopWell(t, syscall.SIGINT)
}

// While the broker is down, orders are taken. /readyz and the log report the outage.
func TestWithoutBroker(t *testing.T) {
	address := freeAddress(t)
	p := start(t, "order", "--addr="+address, "--store=memory:", "--broker=amqp://localhost:1/", "--start-timeout=1s", "--log-format=json")
	awaitReady(t, address)
	check := func() {
		t.Helper()
		var ready struct{ Checks map[string]string }
		if status, err := fetch("GET", "http://"+address+"/readyz", "", &ready); err != nil || status != http.StatusOK || ready.Checks["broker"] != "down" {
			t.Errorf("/readyz: %d, %v, %v", status, ready, err)
		}
		if n := len(placeOrders(t, address, 1, 10)); n != 10 {
			t.Errorf("%d orders, want 10", n)
		}
	}
	check()
	eventually(t, func() error {
		if !strings.Contains(p.out.String(), "the broker is unavailable; orders are taken") {
			return errors.New("the log does not report the broker's outage")
		}
		return nil
	})
	check()
	p.stopWell(t, syscall.SIGTERM)
}
