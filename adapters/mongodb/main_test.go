package mongodb_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.uber.org/goleak"

	"example.com/orderflow/adapters/mongodb"
	"example.com/orderflow/domain"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// databaseURL returns the URL of a new database, which is dropped after the test.
func databaseURL(t testing.TB) string {
	t.Helper()
	server := os.Getenv("TEST_STORE_URL")
	if server == "" {
		t.Skip("set TEST_STORE_URL to run this test, such as to mongodb://localhost:27017/")
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal("TEST_STORE_URL is not a URL") // the error may show a password
	}
	name := "orderflow_test_" + strings.ToLower(rand.Text())
	u.Path = "/" + name
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		client, err := mongo.Connect(options.Client().ApplyURI(server))
		if err == nil {
			err = errors.Join(client.Database(name).Drop(ctx), client.Disconnect(ctx))
		}
		if err != nil {
			t.Errorf("drop database: %v", err)
		}
	})
	return u.String()
}

// open opens the store at url, and closes it after the test.
func open(t testing.TB, url string, options mongodb.Options) *mongodb.Store {
	t.Helper()
	store, err := mongodb.Open(bounded(t), url, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := store.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return store
}

// openNew opens a new database.
func openNew(t testing.TB) *mongodb.Store { return openWith(t, mongodb.Options{}) }

func openWith(t testing.TB, options mongodb.Options) *mongodb.Store {
	t.Helper()
	return open(t, databaseURL(t), options)
}

// bounded returns the test's context with a timeout.
func bounded(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

var epoch = time.Date(2026, 11, 23, 10, 0, 0, 123_000_000, time.UTC)

func newOrder(t testing.TB, userID string, createdAt time.Time) domain.Order {
	t.Helper()
	order, err := domain.NewOrder(domain.OrderID(uuid.NewString()), userID, "a lamp", 2, createdAt)
	if err != nil {
		t.Fatal(err)
	}
	return order
}

// document returns the order as it is stored.
func document(order domain.Order) bson.M {
	return bson.M{
		"_id":        string(order.ID),
		"user_id":    order.UserID,
		"product":    order.Product,
		"quantity":   order.Quantity,
		"created_at": order.CreatedAt,
	}
}

// recorder records the commands that the store sends.
type recorder struct {
	mu       sync.Mutex
	commands []bson.Raw
}

func (r *recorder) monitor() *event.CommandMonitor {
	return &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.commands = append(r.commands, append(bson.Raw(nil), e.Command...))
	}}
}

func (r *recorder) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.commands = nil
}

// during returns the commands that f sends.
func (r *recorder) during(f func()) []bson.Raw {
	r.reset()
	f()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.commands
}

// names returns the commands' names, separated by spaces.
func names(commands []bson.Raw) string {
	var s strings.Builder
	for i, command := range commands {
		if i > 0 {
			s.WriteByte(' ')
		}
		first, err := command.IndexErr(0)
		if err != nil {
			return fmt.Sprint(err)
		}
		s.WriteString(first.Key())
	}
	return s.String()
}

// keyOf returns the key of the event's notification by a channel without addresses.
func keyOf(event domain.EventID, channel string) domain.NotificationKey {
	return domain.NotificationKey{EventID: event, Channel: channel}
}
