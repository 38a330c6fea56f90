package account_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/account"
	"example.com/orderflow/services/order"
)

// remote returns the orders as a notifier beside the order service sees them.
func (w *world) remote(t *testing.T) account.OrderStore {
	t.Helper()
	relay, err := order.NewRelay(w.store.Orders(), w.broker.Publisher(), discard)
	if err != nil {
		t.Fatal(err)
	}
	service, err := order.NewService(w.store.Orders(), relay, discard)
	if err != nil {
		t.Fatal(err)
	}
	handler, err := order.NewAdminHandler(service, discard)
	if err != nil {
		t.Fatal(err)
	}
	return remoteAt(t, handler)
}

func remoteAt(t *testing.T, handler http.Handler) account.OrderStore {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	client := &http.Client{Transport: new(http.Transport)}
	t.Cleanup(client.CloseIdleConnections)
	return account.RemoteOrderStore(client, server.URL+"/")
}

// The order service tells a notifier what its store knows.
func TestRemoteOrderStore(t *testing.T) {
	w := newWorld(t)
	w.place(t, 1, 2)
	waits := newOrder(t, 3)
	if err := w.store.Orders().Add(t.Context(), waits, domain.Origin{}); err != nil {
		t.Fatal(err)
	}
	remote, local := w.remote(t), w.store.Orders()
	for _, id := range []domain.OrderID{newOrder(t, 1).ID, waits.ID, newOrder(t, 9).ID} {
		want, wantErr := local.Get(t.Context(), id)
		got, err := remote.Get(t.Context(), id)
		if diff := cmp.Diff(want, got); diff != "" || errors.Is(wantErr, ports.ErrNotFound) != errors.Is(err, ports.ErrNotFound) {
			t.Errorf("order %s: %v, want %v (-local +remote):\n%s", id, err, wantErr, diff)
		}
		event := domain.Order{ID: id}.Created().ID
		holder, wantErr := local.Holder(t.Context(), event)
		remoteHolder, err := remote.Holder(t.Context(), event)
		if diff := cmp.Diff(holder, remoteHolder); diff != "" || errors.Is(wantErr, ports.ErrNotFound) != errors.Is(err, ports.ErrNotFound) {
			t.Errorf("holder of %s: %v, want %v (-local +remote):\n%s", id, err, wantErr, diff)
		}
	}
	var got []domain.Order
	query := ports.OrderQuery{UserID: "ann", Limit: 2}
	for pages := 1; ; pages++ {
		page, err := remote.List(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, page.Orders...)
		if query.Cursor = page.NextCursor; query.Cursor == "" {
			break
		}
	}
	want, err := local.List(t.Context(), ports.OrderQuery{UserID: "ann", Limit: 10})
	if diff := cmp.Diff(want.Orders, got); diff != "" || err != nil || len(got) != 3 {
		t.Errorf("%d orders, %v (-local +remote):\n%s", len(got), err, diff)
	}
	query.Cursor = "x"
	if _, err := remote.List(t.Context(), query); !errors.Is(err, ports.ErrInvalidCursor) {
		t.Errorf("error %v, want ErrInvalidCursor", err)
	}
	if page, err := remote.List(t.Context(), ports.OrderQuery{UserID: "../a?b#c %", Limit: 2}); err != nil || len(page.Orders) > 0 {
		t.Errorf("got %+v, %v, want no orders", page, err)
	}
}

// What is no answer is an outage, and never an order.
func TestRemoteOrderStoreThatFails(t *testing.T) {
	for name, handle := range map[string]http.HandlerFunc{
		"refused":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) },
		"failed":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) },
		"too long": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"data":"`)
			for range 1100 {
				_, _ = w.Write(make([]byte, 1<<10))
			}
		},
		"no JSON": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
	} {
		t.Run(name, func(t *testing.T) {
			remote := remoteAt(t, handle)
			if _, err := remote.Get(t.Context(), newOrder(t, 1).ID); err == nil || errors.Is(err, ports.ErrNotFound) {
				t.Errorf("Get: error %v", err)
			}
			if _, err := remote.Holder(t.Context(), newOrder(t, 1).Created().ID); err == nil || errors.Is(err, ports.ErrNotFound) {
				t.Errorf("Holder: error %v", err)
			}
			if _, err := remote.List(t.Context(), ports.OrderQuery{UserID: "ann", Limit: 1}); err == nil || errors.Is(err, ports.ErrInvalidCursor) {
				t.Errorf("List: error %v", err)
			}
		})
	}
	away := account.RemoteOrderStore(&http.Client{Transport: new(http.Transport), Timeout: time.Second}, "http://127.0.0.1:1")
	if _, err := away.Get(t.Context(), newOrder(t, 1).ID); !errors.Is(err, ports.ErrUnavailable) {
		t.Errorf("error %v, want ErrUnavailable", err)
	}
}
