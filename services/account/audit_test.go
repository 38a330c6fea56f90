package account_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/account"
	"example.com/orderflow/services/order"
)

// serveOrders returns the address of an order service, and a client.
func (w *world) serveOrders(t *testing.T, handler func(http.Handler) http.Handler) (string, *http.Client) {
	t.Helper()
	relay, err := order.NewRelay(w.store.Orders(), w.broker.Publisher(), discard)
	if err != nil {
		t.Fatal(err)
	}
	service, err := order.NewService(w.store.Orders(), relay, discard)
	if err != nil {
		t.Fatal(err)
	}
	h, err := order.NewHandler(service, nil, nil, discard)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler(h))
	client := &http.Client{Transport: new(http.Transport)}
	t.Cleanup(func() {
		client.CloseIdleConnections()
		server.Close()
	})
	return server.URL, client
}

// record records the notification of the nth order by mail.
func (w *world) record(t *testing.T, n int, state domain.NotificationState) {
	t.Helper()
	event := newOrder(t, n).Created()
	claim, err := w.store.Deliveries().Claim(t.Context(), domain.NotificationKey{EventID: event.ID, Channel: "mail", Recipient: domain.UserRecipient})
	if err == nil {
		err = claim.Record(t.Context(), domain.Notification{OrderID: event.Order.ID, State: state, At: domain.TruncateTime(time.Now()), NextTry: time.Now().Add(time.Hour)}, event)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// An audit lists exactly the orders that have not reached their recipient, with the reason.
// A busy order service does not end it.
func TestAudit(t *testing.T) {
	w := newWorld(t)
	w.office(t).RunOpening(t.Context(), discard)
	const count = 450
	ways := []string{"retrying", "held", "dead", "missing", "in hand", "set aside"}
	want := make(map[domain.OrderID]string)
	for n := range count {
		o := newOrder(t, n)
		if err := w.store.Orders().Add(t.Context(), o, domain.Origin{}); err != nil {
			t.Fatal(err)
		}
		if n%12 != 5 {
			w.record(t, n, []domain.NotificationState{domain.Sent, domain.Skipped}[n%2])
			continue
		}
		reason := ways[n/12%len(ways)]
		want[o.ID] = reason
		key := domain.NotificationKey{EventID: o.Created().ID, Channel: "mail", Recipient: domain.UserRecipient}
		var err error
		switch reason {
		case "retrying", "held", "dead":
			w.record(t, n, domain.NotificationState(reason))
		case "in hand":
			_, err = w.store.Deliveries().Claim(t.Context(), key)
		case "set aside":
			err = w.store.DeadLetters().Put(t.Context(), ports.DeadLetter{
				ID: string(key.EventID) + ".mail", Subscription: "mail", Failure: ports.Failure{FirstFailure: time.Now()},
			})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(want) < 37 {
		t.Fatalf("%d orders were made undeliverable", len(want))
	}
	requests := 0
	address, client := w.serveOrders(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if requests++; requests%3 == 0 {
				http.Error(w, "busy", []int{http.StatusServiceUnavailable, http.StatusBadGateway}[requests/3%2])
				return
			}
			h.ServeHTTP(w, r)
		})
	})
	got := make(map[domain.OrderID]string)
	calls := 0
	result, err := w.office(t).Audit(t.Context(), account.Audit{
		Walk: account.RemoteWalk(client, address+"/"), From: time.Now().Add(-time.Hour), To: time.Now().Add(time.Second),
		Progress: func(int, int) { calls++ },
		Found: func(f account.Finding) error {
			got[f.OrderID] = f.Reason()
			_, err := json.Marshal(account.NewFindingView(f))
			return err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if result.Orders != count || result.Findings != len(want) || calls == 0 {
		t.Errorf("got %+v, %d calls of Progress", result, calls)
	}
	for _, reason := range ways {
		if !slices.Contains(slices.Collect(maps.Values(want)), reason) {
			t.Errorf("no order is %s", reason)
		}
	}
}

// A recipient that was added later misses none of the earlier orders.
func TestAuditOfALaterRecipient(t *testing.T) {
	w := newWorld(t)
	w.office(t).RunOpening(t.Context(), discard)
	w.place(t, 0, 3)
	w.broker.Prefetch = 1
	w.handle(t, 3, domain.Sent)
	w.parts.Channels[0].Recipients = append(w.parts.Channels[0].Recipients, "warehouse")
	w.office(t).RunOpening(t.Context(), discard)
	w.place(t, 3, 1)
	w.record(t, 3, domain.Sent)
	address, client := w.serveOrders(t, func(h http.Handler) http.Handler { return h })
	var found []string
	audit := account.Audit{
		Walk: account.RemoteWalk(client, address), From: time.Now().Add(-time.Hour), To: time.Now().Add(time.Second),
		Found: func(f account.Finding) error {
			found = append(found, string(f.OrderID)+" "+f.Recipient+" "+f.Reason())
			return nil
		},
	}
	if _, err := w.office(t).Audit(t.Context(), audit); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{string(newOrder(t, 3).ID) + " warehouse queued"}, found); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// An event that is handled while the audit looks for it is no finding. One that waits in the
// outbox is named so where the store has the orders. Orders that can't be read are counted,
// and those whose notifications may be deleted are passed over.
func TestAuditLooksTwice(t *testing.T) {
	w := newWorld(t)
	w.broker.Prefetch = 1
	w.office(t).RunOpening(t.Context(), discard)
	w.place(t, 0, 1)
	handled := false
	w.parts.Channels[0].Queue = busy{w.parts.Channels[0].Queue, func() {
		if !handled {
			handled = true
			w.handle(t, 1, domain.Sent)
		}
	}}
	if err := w.store.Orders().Add(t.Context(), newOrder(t, 1), domain.Origin{}); err != nil {
		t.Fatal(err)
	}
	address, client := w.serveOrders(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Unreadable-Records", "3")
			h.ServeHTTP(w, r)
		})
	})
	for _, tt := range []struct {
		orders    account.OrderStore
		retention time.Duration
		want      string
	}{{w.store.Orders(), time.Hour, "waiting"}, {nil, 0, "missing"}, {new(memory.Store).Orders(), time.Hour, "missing"}, {nil, time.Nanosecond, ""}} {
		var found string
		audit := account.Audit{
			Walk: account.RemoteWalk(client, address), From: time.Now().Add(-time.Hour), To: time.Now().Add(time.Second),
			Orders: tt.orders, Retention: tt.retention,
			Found: func(f account.Finding) error {
				found += string(f.OrderID)[35:] + f.Reason()
				return nil
			},
		}
		want := tt.want
		if want != "" {
			want = "1" + want
		}
		result, err := w.office(t).Audit(t.Context(), audit)
		if err != nil || found != want || result.Unreadable != 3 {
			t.Errorf("found %q, %+v, error %v; want %q, and 3 unreadable orders", found, result, err, want)
		}
	}
}

// Errors of the order service end an audit: it must not seem even.
func TestAuditFails(t *testing.T) {
	w := newWorld(t)
	for _, answer := range []int{404, 500} {
		address, client := w.serveOrders(t, func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(answer) })
		})
		_, err := w.office(t).Audit(t.Context(), account.Audit{Walk: account.RemoteWalk(client, address), From: time.Now(), To: time.Now()})
		if err == nil {
			t.Errorf("answer %d: no error", answer)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := w.office(t).Audit(ctx, account.Audit{Walk: account.RemoteWalk(http.DefaultClient, "http://127.0.0.1:1"), From: time.Now(), To: time.Now()})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}
