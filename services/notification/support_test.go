package notification_test

import (
	"context"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/notification"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// checkGolden compares the text with the golden file of this name.
func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// call makes a request with this body, and returns its status and its answer.
func call(h http.Handler, method, target, body string) (status int, answer string) {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("X-Request-ID", "request-1")
	w := do(h, r)
	return w.Code, strings.TrimSpace(w.Body.String())
}

// exchange is a request and the answer to it.
type exchange struct {
	method, target, body string
	status               int
	want                 string // a regular expression that matches the body
}

// checkAnswers makes the requests one after the other.
func checkAnswers(t *testing.T, h http.Handler, exchanges []exchange) {
	t.Helper()
	for _, e := range exchanges {
		status, body := call(h, e.method, e.target, e.body)
		if status != e.status || !regexp.MustCompile(e.want).MatchString(body) {
			t.Errorf("%s %s %s: got %d %s, want %d %s", e.method, e.target, e.body, status, body, e.status, e.want)
		}
	}
}

// The orders of the tests, and their time.
const (
	orderA = "0192f0c1-2d3e-7f4a-8b5c-6d7e8f90aaaa"
	orderB = "0192f0c1-2d3e-7f4a-8b5c-6d7e8f90bbbb"
)

var monday = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

func storeOf(s *memory.Store) notification.Store {
	return notification.Store{Deliveries: s.Deliveries(), States: s.ChannelStates(), Contacts: s.Contacts(), DeadLetters: s.DeadLetters(), Actions: s.OperatorActions()}
}

// newControl returns the control of a notifier with the channels log, email and
// webhook, of which the latter two have addresses.
func newControl(t *testing.T, store notification.Store) *notification.Control {
	t.Helper()
	return must(notification.NewControl(store, []notification.ChannelInfo{
		{Name: "log", Kind: "log"},
		{Name: "email", Kind: "smtp", Addressed: addressRule{must: "@"}, Sender: addressRule{must: "@"}},
		{Name: "webhook", Kind: "webhook", Addressed: addressRule{must: "https://"}},
	}, discard))
}

// addressRule is a channel whose addresses must contain a text.
type addressRule struct {
	ports.AddressedChannel
	must string
}

func (a addressRule) CheckAddress(address string) error {
	if strings.Contains(address, a.must) {
		return nil
	}
	return errNoAddress(a.must)
}

func (addressRule) Send(context.Context, ports.Outgoing) (ports.Answer, error) {
	return ports.Answer{Code: "250", Text: "OK"}, nil
}

type errNoAddress string

func (e errNoAddress) Error() string { return "must contain " + string(e) }

// record records the notification, as a notifier does.
func record(t *testing.T, log ports.DeliveryLog, n domain.Notification) {
	t.Helper()
	order := must(domain.NewOrder(n.OrderID, n.UserID, "Laptop", 1, monday))
	n.EventID = order.Created().ID
	claim, err := log.Claim(t.Context(), n.Key())
	if err != nil {
		t.Fatal(err)
	}
	if err := claim.Record(t.Context(), n, order.Created()); err != nil {
		t.Fatal(err)
	}
}

// recordStories records a notification in each state, and the dead one's letter.
// Receivers repeat addresses in their answers.
func recordStories(t *testing.T, store *memory.Store) {
	t.Helper()
	log := store.Deliveries()
	letter := ports.DeadLetter{
		ID: orderA + "-created.webhook", Subscription: "webhook",
		Failure: ports.Failure{Reason: "404 Not Found", Attempts: 2, FirstFailure: monday, LastFailure: monday},
	}
	if err := store.DeadLetters().Put(t.Context(), letter); err != nil {
		t.Fatal(err)
	}
	at := func(minutes int) time.Time { return monday.Add(time.Duration(minutes) * time.Minute) }
	attempt := func(minutes int, outcome domain.Outcome, code, answer string) domain.Attempt {
		return domain.Attempt{At: at(minutes), Duration: 1500 * time.Millisecond, Outcome: outcome, Code: code, Answer: answer}
	}
	for _, n := range []domain.Notification{
		{
			Channel: "log", OrderID: orderA, UserID: "ann", State: domain.Sent, At: at(0), Attempt: 1, First: at(0),
			Attempts: []domain.Attempt{attempt(0, domain.Accepted, "", "")},
		},
		{
			Channel: "email", Recipient: "user", OrderID: orderA, UserID: "ann", State: domain.Retrying, At: at(2), NextTry: at(4),
			Reason: "the server refused ann.lee@example.com", Receiver: "mail.example.com", Attempt: 1, First: at(1),
			Attempts: []domain.Attempt{
				attempt(1, domain.Unreachable, "", "dial tcp: connection refused"),
				attempt(2, domain.Refused, "450", "4.2.1 <ann.lee@example.com>: mailbox busy"),
			},
		},
		{
			Channel: "webhook", Recipient: "user", OrderID: orderA, UserID: "ann", State: domain.Held, At: at(3), NextTry: at(63),
			Reason: "its receiver is paused", Receiver: "hooks.example.com#1a2b3c4d", HeldBy: domain.PauseKey{Channel: "webhook", Receiver: "hooks.example.com#1a2b3c4d"},
		},
		{
			Channel: "webhook", Recipient: "warehouse", OrderID: orderA, UserID: "ann", State: domain.Dead, At: at(5),
			Reason: "404 Not Found", Receiver: "warehouse.example.com#5e6f7a8b", Attempt: 2, First: at(4),
			Attempts: []domain.Attempt{
				attempt(4, domain.Refused, "500", "see https://warehouse.example.com/hook/s3cret"),
				attempt(5, domain.Rejected, "404", "no such hook"),
			},
		},
		{
			Channel: "email", Recipient: "user", OrderID: orderB, UserID: "bob", State: domain.Skipped, At: at(6),
			Reason: "the user has no address for this channel",
		},
	} {
		record(t, log, n)
	}
}
