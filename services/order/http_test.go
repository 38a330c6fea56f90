package order_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/mock/gomock"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/mocks"
	"example.com/orderflow/services/order"
)

var update = flag.Bool("update", false, "rewrite the golden files")

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
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func bodyOf(t *testing.T, response *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// dump formats an answer, without what differs from run to run.
func dump(t *testing.T, response *http.Response) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintln(&b, response.Status)
	for _, name := range []string{"Allow", "Content-Type", "Location", "Retry-After"} {
		if v := response.Header.Get(name); v != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, v)
		}
	}
	fmt.Fprintf(&b, "\n%s", bodyOf(t, response))
	text := regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`).ReplaceAllString(b.String(), "<uuid>")
	return regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`).ReplaceAllString(text, "<time>")
}

func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("../../testdata/answers", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("answer (-want +got; run with -update to rewrite the golden file):\n%s", diff)
	}
}

const laptop = `{"user_id":"123","product":"Laptop","quantity":1}`

func TestPlaceAnswers(t *testing.T) {
	const asJSON = "application/json"
	long := func(n int) string { return strings.Repeat("x", n) }
	unknown := func(format string, n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(strings.ReplaceAll(format, "%d", fmt.Sprint(i)))
		}
		return b.String()
	}
	tests := []struct {
		name        string
		method      string
		path        string
		contentType string
		body        string
	}{
		{"placed", "POST", "/order", asJSON, laptop},
		{"placed_at_orders", "POST", "/orders", "application/json; charset=UTF-8", laptop},
		{"placed_with_escapes", "POST", "/order", asJSON, `{"user_id":"ü<&>","product":"\u00e9\ud83d\ude00","quantity":1000000}`},
		{"empty_body", "POST", "/order", asJSON, ""},
		{"truncated", "POST", "/order", asJSON, `{"user_id":"123","product":"Lap`},
		{"no_json", "POST", "/order", asJSON, "user_id=123"},
		{"trailing_comma", "POST", "/order", asJSON, `{"user_id":"123",}`},
		{"list", "POST", "/order", asJSON, "[]"},
		{"second_value", "POST", "/order", asJSON, laptop + " {}"},
		{"trailing_garbage", "POST", "/order", asJSON, laptop + "x"},
		{"invalid_utf8", "POST", "/order", asJSON, "{\"user_id\":\"123\",\"product\":\"\xff\",\"quantity\":1}"},
		{"nested_too_deeply", "POST", "/order", asJSON, `{"user_id":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + "}"},
		{"invalid_utf8_name", "POST", "/order", asJSON, "{\"\xff\":1}"},
		{"lone_surrogate", "POST", "/order", asJSON, `{"user_id":"123","product":"\ud800","quantity":1}`},
		{"control_character", "POST", "/order", asJSON, `{"user_id":"12\n3","product":"a\u0000","quantity":1}`},
		{"raw_control_character", "POST", "/order", asJSON, "{\"user_id\":\"12\n3\"}"},
		{"nothing_given", "POST", "/order", asJSON, `{}`},
		{"empty_strings", "POST", "/order", asJSON, `{"user_id":"","product":"","quantity":0}`},
		{"too_long", "POST", "/order", asJSON, `{"user_id":"` + long(129) + `","product":"` + long(257) + `","quantity":1000001}`},
		{"wrong_types", "POST", "/order", asJSON, `{"user_id":123,"product":null,"quantity":"1"}`},
		{"wrong_types_again", "POST", "/order", asJSON, `{"user_id":{},"product":[],"quantity":true}`},
		{"fraction", "POST", "/order", asJSON, `{"user_id":"123","product":"Laptop","quantity":1.5}`},
		{"huge", "POST", "/order", asJSON, `{"user_id":"123","product":"Laptop","quantity":99999999999999999999}`},
		{"negative", "POST", "/order", asJSON, `{"user_id":"123","product":"Laptop","quantity":-1}`},
		{"unknown_field", "POST", "/order", asJSON, `{"user_id":"123","product":"Laptop","quantity":1,"price":1}`},
		{"wrong_case", "POST", "/order", asJSON, `{"User_ID":"123","product":"Laptop","quantity":1}`},
		{"twice", "POST", "/order", asJSON, `{"user_id":"1","user_id":"2","product":"Laptop","quantity":1}`},
		{"too_large", "POST", "/order", asJSON, `{"product":"` + long(64<<10) + `"}`},
		{"no_content_type", "POST", "/order", "", laptop},
		{"form", "POST", "/order", "application/x-www-form-urlencoded", laptop},
		{"latin1", "POST", "/order", "application/json; charset=iso-8859-1", laptop},
		{"get_order", "GET", "/order", "", ""},
		{"delete_orders", "DELETE", "/orders", "", ""},
		{"post_to_an_order", "POST", "/orders/0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234", asJSON, laptop},
		{"unknown_path", "GET", "/nowhere", "", ""},
		{"unknown_order", "GET", "/orders/0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234", "", ""},
		{"no_id", "GET", "/orders/42", "", ""},
		{"unknown_parameter", "GET", "/orders?userid=123", "", ""},
		{"parameter_twice", "GET", "/orders?limit=1&limit=2", "", ""},
		{"limit_none", "GET", "/orders?limit=0", "", ""},
		{"limit_too_large", "GET", "/orders?limit=101", "", ""},
		{"limit_no_number", "GET", "/orders?limit=ten", "", ""},
		{"bad_cursor", "GET", "/orders?cursor=x", "", ""},
		{"empty_user_id", "GET", "/orders?user_id=", "", ""},
		{"user_id_without_value", "GET", "/orders?user_id", "", ""},
		{"empty_limit_and_cursor", "GET", "/orders?limit=&cursor=", "", ""},
		{"nul_in_user_id", "GET", "/orders?user_id=%00", "", ""},
		{"invalid_utf8_in_user_id", "GET", "/orders?user_id=%FF", "", ""},
		{"semicolon", "GET", "/orders?limit=1;cursor=x", "", ""},
		{"many_unknown_parameters", "GET", "/orders?" + unknown("%C3%BC%d=1&", 40), "", ""},
		{"many_unknown_fields", "POST", "/order", asJSON, `{` + unknown(`"x%d":1,`, 40) + `"user_id":1}`},
		{"long_unknown_field", "POST", "/order", asJSON, `{"` + strings.Repeat("ü", 65) + `":1}`},
		{"no_path", "CONNECT", "localhost:80", "", ""},
		{"control_in_path", "GET", "/nowhere/%C2%9B%7F", "", ""},
		{"no_orders", "GET", "/orders", "", ""},
		{"live", "GET", "/livez", "", ""},
		{"ready", "GET", "/readyz", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			orders := new(memory.Orders)
			h := newAPI(orders, orders)
			response := send(h, tt.method, tt.path, tt.contentType, tt.body)
			checkGolden(t, tt.name, dump(t, response))
			if placed := len(list(t, h, "/orders").Data); (response.StatusCode == http.StatusCreated) != (placed == 1) {
				t.Errorf("answered %s, and %d orders are kept", response.Status, placed)
			}
		})
	}
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
		time.Sleep(time.Millisecond) // so that each is newer than the one before
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
		t.Errorf("a blank user has orders: %v", found)
	}
}

// Answers to a store's failures do not show its details.
func TestStoreFailures(t *testing.T) {
	secret := "secret-host:27017"
	tests := []struct {
		name   string
		err    error
		status int
	}{
		{"unavailable", fmt.Errorf("add: %s: %w", secret, ports.ErrUnavailable), http.StatusServiceUnavailable},
		{"too slow", fmt.Errorf("add: %s: %w", secret, context.DeadlineExceeded), http.StatusServiceUnavailable},
		{"unknown", errors.New("corrupt document in " + secret), http.StatusInternalServerError},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			orders := mocks.NewMockOrderRepository(gomock.NewController(t))
			orders.EXPECT().Add(gomock.Any(), gomock.Any()).Return(tt.err)
			orders.EXPECT().Get(gomock.Any(), gomock.Any()).Return(domain.Order{}, tt.err)
			orders.EXPECT().List(gomock.Any(), gomock.Any()).Return(ports.OrderPage{}, tt.err)
			h := newAPI(orders, new(memory.Orders))
			for _, response := range []*http.Response{
				send(h, "POST", "/order", "application/json", laptop),
				send(h, "GET", "/orders/0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234", "", ""),
				send(h, "GET", "/orders", "", ""),
			} {
				body := bodyOf(t, response)
				if response.StatusCode != tt.status {
					t.Errorf("got %s, want %d", response.Status, tt.status)
				}
				if strings.Contains(body, secret) {
					t.Errorf("the answer shows details of the store: %s", body)
				}
				if got := response.Header.Get("Retry-After") != ""; got != (tt.status == http.StatusServiceUnavailable) {
					t.Errorf("Retry-After given: %v", got)
				}
			}
		})
	}
}

// A request fails after its timeout if the store hangs.
func TestStoreHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		orders := mocks.NewMockOrderRepository(gomock.NewController(t))
		orders.EXPECT().Add(gomock.Any(), gomock.Any()).DoAndReturn(func(ctx context.Context, _ domain.Order) error {
			<-ctx.Done()
			return ctx.Err()
		})
		h := newAPI(orders, new(memory.Orders))
		h.RequestTimeout = 3 * time.Second
		began := time.Now()
		response := send(h, "POST", "/order", "application/json", laptop)
		if took := time.Since(began); response.StatusCode != http.StatusServiceUnavailable || took != 3*time.Second {
			t.Errorf("answered %s after %v, want 503 after 3s", response.Status, took)
		}
	})
}

// Beyond MaxInFlight the service refuses orders at once. Orders that it has
// accepted are not affected.
func TestMaxInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 3
		full := make(chan struct{})
		orders := mocks.NewMockOrderRepository(gomock.NewController(t))
		orders.EXPECT().Add(gomock.Any(), gomock.Any()).DoAndReturn(func(context.Context, domain.Order) error {
			<-full
			return nil
		}).Times(most + 1)
		h := newAPI(orders, new(memory.Orders))
		h.MaxInFlight = most
		answers := make(chan int, most)
		for range most {
			go func() { answers <- send(h, "POST", "/order", "application/json", laptop).StatusCode }()
		}
		synctest.Wait()
		for range 2 {
			response := send(h, "POST", "/order", "application/json", laptop)
			if body := bodyOf(t, response); response.StatusCode != 503 || response.Header.Get("Retry-After") != "1" || !strings.Contains(body, `"code":"overloaded"`) {
				t.Errorf("beyond the bound: %s, %s", response.Status, body)
			}
		}
		if response := send(h, "GET", "/livez", "", ""); response.StatusCode != 200 {
			t.Errorf("a health check is refused: %s", response.Status)
		}
		close(full)
		for range most {
			if status := <-answers; status != 201 {
				t.Errorf("an accepted order is answered %d", status)
			}
		}
		if response := send(h, "POST", "/order", "application/json", laptop); response.StatusCode != 201 {
			t.Errorf("below the bound again: %s", response.Status)
		}
	})
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
	for given, keep := range map[string]bool{"abc-123": true, "": false, "a b": false, "é": false, strings.Repeat("x", 129): false} {
		r := httptest.NewRequest("GET", "/nowhere", nil)
		r.Header.Set("X-Request-ID", given)
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
