package move_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.uber.org/goleak"

	"example.com/orderflow/adapters/sqlite"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/cmd/internal/move"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recently is near the present, because settled dead letters are kept for thirty days.
var recently = domain.TruncateTime(time.Now().Add(-time.Hour))

var quiet = slog.New(slog.DiscardHandler)

// openFile opens a source.
func openFile(t *testing.T, url string) *sqlite.Store {
	t.Helper()
	store, closing, err := move.OpenSource(t.Context(), url, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closing)
	return store
}

func openTarget(t *testing.T, url string) move.Target {
	t.Helper()
	target, closing, err := move.OpenTarget(t.Context(), url, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closing)
	return target
}

// onEachTarget runs the test with another file as the target, and with MongoDB.
func onEachTarget(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("sqlite", func(t *testing.T) { test(t, fileURL(t)) })
	t.Run("mongodb", func(t *testing.T) { test(t, databaseURL(t)) })
}

func fileURL(t *testing.T) string {
	return "sqlite:" + filepath.Join(t.TempDir(), "orderflow.db")
}

// databaseURL returns the URL of a new database, which is dropped after the test.
func databaseURL(t *testing.T) string {
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
			defer func() { _ = client.Disconnect(ctx) }()
			err = client.Database(name).Drop(ctx)
		}
		if err != nil {
			t.Errorf("drop database: %v", err)
		}
	})
	return u.String()
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// order returns the nth order.
func order(n int) domain.Order {
	return domain.Order{
		ID:     domain.OrderID(fmt.Sprintf("0192f0c1-2d3e-7f4a-8b5c-%012d", n)),
		UserID: fmt.Sprint("user ", n%7), Product: fmt.Sprint("a lamp, ", n), Quantity: n%5 + 1,
		CreatedAt: recently.Add(time.Duration(n/2) * time.Millisecond), // two at a time
	}
}

// The events of orders below the first bound are published and handled. Those below the
// second are in a queue, those below the third in the outbox.
const handled, queued, orders = 30, 35, 40

// fill fills the file with every kind of record, in every state.
func fill(t *testing.T, s *sqlite.Store) {
	t.Helper()
	ctx := t.Context()
	for n := range orders {
		must(t, s.Orders().Add(ctx, order(n), domain.Origin{}))
		if n < queued {
			must(t, s.Orders().MarkPublished(ctx, order(n).Created().ID))
		}
		if n < handled {
			for i, state := range domain.NotificationStates {
				record(t, s.Deliveries(), notification(n, i, state), order(n).Created())
			}
		} else if n < queued {
			must(t, s.Publisher().Publish(ctx, order(n).Created())...)
		}
	}
	for n := range 5 {
		must(t, s.Contacts().Put(ctx, ports.Contact{
			UserID: fmt.Sprint("user ", n), Language: "de", Addresses: map[string]string{"email": "ann@example.com"}, Off: []string{"webhook"}[:n%2],
			UpdatedAt: recently.Add(time.Duration(n) * time.Second),
		}))
	}
	_, err := s.ChannelStates().Register(ctx, "email", "webhook", "gone")
	must(t, err)
	for i, kind := range []ports.PauseKind{ports.Manual, ports.Breaker, ports.Off, ports.Draining} {
		pause := ports.Pause{
			PauseKey: domain.PauseKey{Channel: "webhook", Receiver: []string{"", "a", "b", "c"}[i]},
			Kind:     kind, Reason: "503", By: "ann", Since: recently, Probes: i,
		}
		if kind == ports.Breaker {
			pause.Probe = recently.Add(time.Hour)
		}
		must(t, s.ChannelStates().Pause(ctx, pause))
	}
	for n := range 4 { // of which one has not ended
		id := fmt.Sprint("action ", n)
		must(t, s.OperatorActions().Begin(ctx, ports.OperatorAction{
			ID: id, At: recently.Add(time.Duration(n/2) * time.Second), By: "ann", Action: "replay", Target: "all", Reason: "why",
		}))
		if n > 0 {
			must(t, s.OperatorActions().End(ctx, id, ports.ActionEnd{EndedAt: recently.Add(time.Minute), Outcome: ports.ActionFailed, Count: n, Error: "no"}))
		}
	}
	for n, state := range []ports.DeadLetterState{ports.Waiting, ports.Replayed, ports.Discarded} {
		for failure := range n + 1 {
			must(t, s.DeadLetters().Put(ctx, letter(n, failure)))
		}
		if state != ports.Waiting {
			read, err := s.DeadLetters().Get(ctx, letter(n, 0).ID)
			must(t, err, s.DeadLetters().Settle(ctx, read, state, "ann"))
		}
	}
	// Only queues have these: a failure of a known letter, a new letter, a message that no
	// consumer can read, and the event of an order that the file does not have.
	queue := s.DeadLetterQueue()
	failure := ports.Failure{Reason: "again", Attempts: 2, FirstFailure: recently, LastFailure: recently.Add(time.Minute)}
	must(t,
		queue.SetAside(ctx, "", order(3).Created(), failure), queue.SetAside(ctx, "", order(3).Created(), failure),
		queue.Replay(ctx, ports.DeadLetter{Message: ports.Message{ID: "foreign", Body: []byte("\xff\x00"), Headers: map[string]string{"x.y": "$1"}}}),
	)
	must(t, s.Publisher().Publish(ctx, order(99).Created())...)
}

// notification returns the order's ith notification, in this state.
func notification(n, i int, state domain.NotificationState) domain.Notification {
	at := recently.Add(time.Duration(n%3) * time.Second)
	notification := domain.Notification{
		EventID: order(n).Created().ID, Channel: []string{"log", "email"}[i%2], Recipient: []string{"", "user", "endpoint"}[i%3],
		OrderID: order(n).ID, UserID: order(n).UserID, State: state, At: at,
	}
	if state == domain.Skipped {
		notification.Reason = "no address"
		return notification
	}
	notification.Receiver, notification.Attempt, notification.First = "mail.example.com", 2, at.Add(-time.Minute)
	notification.Attempts = []domain.Attempt{
		{At: at.Add(-time.Minute), Duration: 15 * time.Millisecond, Outcome: domain.Refused, Code: "450", Answer: "später"},
		{At: at, Duration: time.Second, Outcome: domain.Accepted, Code: "250"},
	}
	if state != domain.Sent {
		notification.Reason = "450 later"
	}
	if state.Waits() {
		notification.NextTry = at.Add(24 * time.Hour)
	}
	if state == domain.Held {
		notification.HeldBy = domain.PauseKey{Channel: "webhook", Receiver: "a"}
	}
	return notification
}

func record(t *testing.T, log ports.DeliveryLog, n domain.Notification, event domain.Event) {
	t.Helper()
	claim, err := log.Claim(t.Context(), n.Key())
	must(t, err)
	must(t, claim.Record(t.Context(), n, event))
}

// letter returns the order's dead letter with its ith failure.
func letter(n, failure int) ports.DeadLetter {
	at := recently.Add(time.Duration(failure) * time.Second)
	return ports.DeadLetter{
		ID: string(order(n).Created().ID) + ".email", Subscription: "email",
		Message: ports.Message{
			ID: string(order(n).Created().ID), ContentType: "application/json", Headers: map[string]string{"ce-type": "order.created"}, Body: []byte(`{"user_id":"user 1"}`),
			CorrelationID: "c", Timestamp: recently,
		},
		Failure: ports.Failure{Reason: fmt.Sprint("reason ", failure), Attempts: failure + 1, FirstFailure: at.Add(-time.Second), LastFailure: at},
	}
}

// content is what the ports show of a store.
type content struct {
	Orders        []domain.Order
	Waiting       []domain.EventID
	Notifications []domain.Notification
	Letters       []ports.DeadLetterRecord
	Contacts      []ports.Contact
	Channels      []string
	Pauses        []ports.Pause
	Actions       []ports.OperatorAction
}

func read(t *testing.T, s move.Target) (c content) {
	t.Helper()
	ctx := t.Context()
	all, err := s.Orders.List(ctx, ports.OrderQuery{Limit: ports.MaxListLimit})
	must(t, err)
	c.Orders = all.Orders
	var ids []domain.EventID
	for _, o := range c.Orders {
		ids = append(ids, o.Created().ID)
	}
	c.Waiting, err = s.Orders.Waiting(ctx, ids...)
	must(t, err)
	slices.Sort(c.Waiting)
	notifications, err := s.Deliveries.List(ctx, ports.NotificationQuery{Limit: ports.MaxListLimit})
	must(t, err)
	c.Notifications = notifications.Notifications
	letters, err := s.DeadLetters.List(ctx, ports.DeadLetterQuery{Limit: ports.MaxListLimit})
	must(t, err)
	for _, listed := range letters.Records {
		record, err := s.DeadLetters.Get(ctx, listed.ID)
		must(t, err)
		c.Letters = append(c.Letters, record)
	}
	contacts, err := s.Contacts.List(ctx, ports.MaxListLimit, "")
	must(t, err)
	c.Contacts = contacts.Contacts
	c.Channels, err = s.States.Register(ctx)
	must(t, err)
	c.Pauses, err = s.States.Pauses(ctx)
	must(t, err)
	actions, err := s.Actions.List(ctx, ports.OperatorActionQuery{Limit: ports.MaxListLimit})
	must(t, err)
	c.Actions = actions.Actions
	return c
}

// contentOf returns the content that a target should have.
func contentOf(t *testing.T, s *sqlite.Store) content {
	t.Helper()
	c := read(t, move.Target{Orders: s.Orders(), Deliveries: s.Deliveries(), DeadLetters: s.DeadLetters(), Contacts: s.Contacts(), States: s.ChannelStates(), Actions: s.OperatorActions()})
	for n := handled; n < queued; n++ {
		c.Waiting = append(c.Waiting, order(n).Created().ID) // from a queue
	}
	slices.Sort(c.Waiting)
	return c
}
