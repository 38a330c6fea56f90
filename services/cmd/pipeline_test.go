package cmd_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// servers returns the real servers' settings, the store's with a database of
// the test's own.
func servers(t *testing.T) []string {
	t.Helper()
	store, broker := os.Getenv("TEST_STORE_URL"), os.Getenv("TEST_BROKER_URL")
	if store == "" || broker == "" {
		t.Skip("TEST_STORE_URL and TEST_BROKER_URL are not set")
	}
	refuseCompetition(t, broker)
	u, err := url.Parse(store)
	if err != nil {
		t.Fatal("TEST_STORE_URL is no URL")
	}
	database := "cmd_" + strings.ToLower(rand.Text())
	u.Path = "/" + database
	t.Cleanup(func() { dropDatabase(t, store, database) })
	return []string{"--store=" + u.String(), "--broker=" + broker, "--log-format=json"}
}

// refuseCompetition fails the test if somebody else consumes the queue, for
// each would take the other's events.
func refuseCompetition(t *testing.T, broker string) {
	t.Helper()
	connection, err := amqp.Dial(broker)
	if err != nil {
		t.Fatal("TEST_BROKER_URL is out of reach, or no URL of a broker")
	}
	defer connection.Close()
	channel, err := connection.Channel()
	if err != nil {
		t.Fatal(err)
	}
	queue, err := channel.QueueDeclarePassive("order_created", true, false, false, false, nil)
	if err == nil && queue.Consumers > 0 {
		t.Fatal("order_created at TEST_BROKER_URL has consumers: stop them, or name another broker or virtual host")
	}
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

// Two processes that know nothing of each other, started in either order:
// every order that is placed is stored, and notified once.
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
				eventually(t, func() error { return sentOnce(address["notification"], id) })
			}
			lines := make(map[string]int)
			for line := range strings.Lines(processes["notification"].out.String()) {
				var l struct {
					Msg     string
					OrderID string `json:"order_id"`
				}
				if err := json.Unmarshal([]byte(line), &l); err != nil {
					t.Fatalf("no JSON line: %q", line)
				}
				if _, ours := placed[l.OrderID]; ours && l.Msg == "Received order" {
					lines[l.OrderID]++
				}
			}
			want := make(map[string]int)
			for id := range maps.Keys(placed) {
				want[id] = 1
			}
			if !maps.Equal(lines, want) {
				t.Errorf("%d of %d orders have a line of their own", len(lines), len(want))
			}
			for name, p := range processes {
				if status := p.stop(t, syscall.SIGTERM); status != 0 {
					t.Errorf("%s: exit status %d after SIGTERM", name, status)
				}
			}
		})
	}
}

// placeOrders places so many orders from several clients at once, and returns
// the product of each by its id.
func placeOrders(t *testing.T, address string, clients, orders int) map[string]string {
	t.Helper()
	placed := make(map[string]string)
	var mu sync.Mutex
	var wg sync.WaitGroup
	numbers := make(chan int, orders)
	for n := range orders {
		numbers <- n
	}
	close(numbers)
	for c := range clients {
		wg.Go(func() {
			for n := range numbers {
				product := fmt.Sprintf("Laptop %d", n)
				var order struct{ ID string }
				body := fmt.Sprintf(`{"user_id":"%d","product":%q,"quantity":%d}`, c, product, n+1)
				status, err := fetch("POST", "http://"+address+"/order", body, &order)
				if err != nil || status != http.StatusCreated {
					t.Errorf("place order: %d, %v", status, err)
					return
				}
				mu.Lock()
				placed[order.ID] = product
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return placed
}

func sentOnce(address, id string) error {
	var sent struct {
		Data []struct {
			EventID string `json:"event_id"`
			Channel string
		}
	}
	if _, err := fetch("GET", "http://"+address+"/notifications?order_id="+id, "", &sent); err != nil {
		return err
	}
	if len(sent.Data) != 1 || sent.Data[0].Channel != "log" || sent.Data[0].EventID != id+"-created" {
		return fmt.Errorf("order %s: sent %+v", id, sent)
	}
	return nil
}

// Under load, SIGTERM loses nothing: every request is answered or was never
// taken, what was answered is notified, and the process ends well.
func TestStopUnderLoad(t *testing.T) {
	settings := servers(t)
	orders, notifications := freeAddress(t), freeAddress(t)
	order := start(t, "order", append(settings, "--addr="+orders)...)
	notifier := start(t, "notification", append(settings, "--addr="+notifications)...)
	awaitReady(t, orders)
	awaitReady(t, notifications)

	var mu sync.Mutex
	var placed []string
	enough := make(chan struct{})
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for {
				var o struct{ ID string }
				status, err := fetch("POST", "http://"+orders+"/order", `{"user_id":"1","product":"p","quantity":1}`, &o)
				if err != nil {
					return // not taken any more
				}
				if status != http.StatusCreated {
					t.Errorf("answered %d", status)
					return
				}
				mu.Lock()
				placed = append(placed, o.ID)
				if len(placed) == 200 {
					close(enough)
				}
				mu.Unlock()
			}
		})
	}
	<-enough
	if status := order.stop(t, syscall.SIGTERM); status != 0 {
		t.Errorf("order: exit status %d", status)
	}
	wg.Wait()
	for _, id := range placed {
		eventually(t, func() error { return sentOnce(notifications, id) })
	}
	if status := notifier.stop(t, syscall.SIGINT); status != 0 {
		t.Errorf("notification: exit status %d", status)
	}
}

// Orders are taken while the broker is away, and that is told.
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
		if !strings.Contains(p.out.String(), "going on without the broker") {
			return fmt.Errorf("the end of the start timeout is not told")
		}
		return nil
	})
	check()
	if status := p.stop(t, syscall.SIGTERM); status != 0 {
		t.Errorf("exit status %d after SIGTERM", status)
	}
}
