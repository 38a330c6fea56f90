package order_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/order"
)

var discard = slog.New(slog.DiscardHandler)

type pinger struct{ err error }

func (p pinger) Ping(context.Context) error { return p.err }

// newAPI returns the HTTP interface of a service whose relay does not run.
func newAPI(orders ports.OrderRepository, outbox ports.Outbox) *order.Handler {
	return newLoggingAPI(orders, outbox, discard)
}

func newLoggingAPI(orders ports.OrderRepository, outbox ports.Outbox, log *slog.Logger) *order.Handler {
	relay := must(order.NewRelay(outbox, new(memory.Broker).Publisher(), log))
	return must(order.NewHandler(must(order.NewService(orders, relay, log)), pinger{}, pinger{}, log))
}

func send(h http.Handler, method, target, contentType, body string) *http.Response {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return described.Do(h, r).Result()
}

func bodyOf(t *testing.T, response *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

type orderJSON struct {
	ID        string `json:"id"`
	UserID    string `json:"user_id"`
	Product   string `json:"product"`
	Quantity  int    `json:"quantity"`
	CreatedAt string `json:"created_at"`
}

type pageJSON struct {
	Data       []orderJSON `json:"data"`
	HasMore    bool        `json:"has_more"`
	NextCursor *string     `json:"next_cursor"`
}

func list(t *testing.T, h http.Handler, target string) (page pageJSON) {
	t.Helper()
	decode(t, send(h, "GET", target, "", ""), http.StatusOK, &page)
	return page
}

func place(t *testing.T, h http.Handler, body string) (placed orderJSON) {
	t.Helper()
	decode(t, send(h, "POST", "/order", "application/json", body), http.StatusCreated, &placed)
	return placed
}

func decode(t *testing.T, response *http.Response, status int, into any) {
	t.Helper()
	body := bodyOf(t, response)
	if response.StatusCode != status {
		t.Fatalf("got %s, want %d: %s", response.Status, status, body)
	}
	if err := json.Unmarshal([]byte(body), into); err != nil {
		t.Fatal(err)
	}
}

func TestPlacedOrderIsFound(t *testing.T) {
	orders := new(memory.Orders)
	h := newAPI(orders, orders)
	before := time.Now().UTC().Truncate(time.Millisecond)
	response := send(h, "POST", "/order", "application/json", laptop)
	var placed, got orderJSON
	decode(t, response, http.StatusCreated, &placed)
	if _, err := domain.ParseOrderID(placed.ID); err != nil || placed.ID[14] != '7' {
		t.Errorf("id %q is no UUIDv7", placed.ID)
	}
	at, err := time.Parse("2006-01-02T15:04:05.000Z", placed.CreatedAt)
	if err != nil || at.Before(before) || at.After(time.Now()) {
		t.Errorf("created_at %q is not now in RFC 3339 with milliseconds, UTC", placed.CreatedAt)
	}
	want := orderJSON{placed.ID, "123", "Laptop", 1, placed.CreatedAt}
	if diff := cmp.Diff(want, placed); diff != "" {
		t.Errorf("placed (-want +got):\n%s", diff)
	}
	decode(t, send(h, "GET", response.Header.Get("Location"), "", ""), http.StatusOK, &got)
	if diff := cmp.Diff(placed, got); diff != "" {
		t.Errorf("at its Location (-placed +got):\n%s", diff)
	}
	decode(t, send(h, "GET", "/orders/"+strings.ToUpper(placed.ID), "", ""), http.StatusOK, &got)
	if diff := cmp.Diff(placed, got); diff != "" {
		t.Errorf("by its id in upper case (-placed +got):\n%s", diff)
	}
	head := send(h, "HEAD", "/orders/"+placed.ID, "", "")
	if head.StatusCode != http.StatusOK {
		t.Errorf("HEAD answers %s", head.Status)
	}
}

func TestListPages(t *testing.T) {
	orders := new(memory.Orders)
	h := newAPI(orders, orders)
	var placed []orderJSON
	for i := range 5 {
		user := []string{"a", "b"}[i%2]
		placed = append([]orderJSON{place(t, h, fmt.Sprintf(`{"user_id":%q,"product":"p","quantity":%d}`, user, i+1))}, placed...)
		time.Sleep(time.Millisecond) // a later time for each order
	}
	var got []orderJSON
	target := "/orders?limit=2"
	for pages := 1; ; pages++ {
		page := list(t, h, target)
		got = append(got, page.Data...)
		if page.HasMore != (page.NextCursor != nil) || page.HasMore != (pages < 3) {
			t.Fatalf("page %d: has_more %v, next_cursor %v", pages, page.HasMore, page.NextCursor)
		}
		if !page.HasMore {
			break
		}
		target = "/orders?limit=2&cursor=" + *page.NextCursor
	}
	if diff := cmp.Diff(placed, got); diff != "" {
		t.Errorf("pages (-placed, newest first +got):\n%s", diff)
	}
	if diff := cmp.Diff([]orderJSON{placed[1], placed[3]}, list(t, h, "/orders?user_id=b").Data); diff != "" {
		t.Errorf("b's orders (-want +got):\n%s", diff)
	}
	if found := list(t, h, "/orders?user_id=%20").Data; len(found) > 0 {
		t.Errorf("the user named by a space has orders: %v", found)
	}
}

func TestReadiness(t *testing.T) {
	down := pinger{errors.New("down: secret-host:27017")}
	tests := []struct {
		name          string
		store, broker pinger
		stopped       bool
		status        int
		want          string
	}{
		{"all up", pinger{}, pinger{}, false, 200, `{"status":"ready","checks":{"broker":"up","store":"up"}}`},
		{"broker down", pinger{}, down, false, 200, `{"status":"ready","checks":{"broker":"down","store":"up"}}`},
		{"store down", down, pinger{}, false, 503, `{"status":"unready","checks":{"broker":"up","store":"down"}}`},
		{"stopping", pinger{}, pinger{}, true, 503, `{"status":"stopping","checks":{"broker":"up","store":"up"}}`},
	}
	for progress, want := range map[pinger]string{
		{}:   `{"status":"ready","checks":{"broker":"up","progress":"up","store":"up"}}`,
		down: `{"status":"degraded","checks":{"broker":"up","progress":"down","store":"up"}}`,
	} {
		service := must(order.NewService(new(memory.Orders), must(order.NewRelay(new(memory.Orders), new(memory.Broker).Publisher(), discard)), discard))
		h := must(order.NewHandler(service, pinger{}, pinger{}, discard))
		h.WatchProgress(progress)
		if response := send(h, "GET", "/readyz", "", ""); response.StatusCode != 200 || strings.TrimSpace(bodyOf(t, response)) != want {
			t.Errorf("progress %v: answered %d, want 200 %s", progress, response.StatusCode, want)
		}
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			service := must(order.NewService(new(memory.Orders), must(order.NewRelay(new(memory.Orders), new(memory.Broker).Publisher(), discard)), discard))
			h := must(order.NewHandler(service, tt.store, tt.broker, discard))
			if tt.stopped {
				h.Stop()
			}
			response := send(h, "GET", "/readyz", "", "")
			if got := strings.TrimSpace(bodyOf(t, response)); response.StatusCode != tt.status || got != tt.want {
				t.Errorf("got %d %s, want %d %s", response.StatusCode, got, tt.status, tt.want)
			}
		})
	}
}

func TestRequestID(t *testing.T) {
	h := newAPI(new(memory.Orders), new(memory.Orders))
	for given, keep := range map[string]bool{
		"abc-123": true, "Root=1-67891233-abcdef/+@:~._": true, strings.Repeat("x", 128): true,
		"": false, "a b": false, "é": false, strings.Repeat("x", 129): false, "<script>": false, "a\nb": false, `"`: false, "$(id)": false, "a,b": false,
	} {
		r := httptest.NewRequest("GET", "/nowhere", nil)
		r.Header["X-Request-Id"] = strings.Split(given, ",") // one header for each
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		var problem struct {
			RequestID string `json:"request_id"`
		}
		decode(t, w.Result(), http.StatusNotFound, &problem)
		id := w.Header().Get("X-Request-ID")
		if id == "" || id != problem.RequestID || (id == given) != keep {
			t.Errorf("given %q: header %q, body %q, want it kept: %v", given, id, problem.RequestID, keep)
		}
	}
}

// Each line that is logged for a request has its id.
func TestRequestIDInTheLog(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	store := new(memory.Orders)
	h := newLoggingAPI(store, store, log)
	r := httptest.NewRequest("POST", "/order", strings.NewReader(laptop))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Request-Id", "abc-1")
	h.ServeHTTP(httptest.NewRecorder(), r)
	for _, message := range []string{`"order placed"`, `"orders placed"`, "msg=request "} {
		if !regexp.MustCompile(`(?m)^.*` + message + `.* request_id=abc-1$`).MatchString(out.String()) {
			t.Errorf("no line with %s and the request id in the log:\n%s", message, out.String())
		}
	}
	if n := strings.Count(out.String(), "request_id=abc-1"); n != 3 {
		t.Errorf("%d lines with the request id, want 3:\n%s", n, out.String())
	}
}
