package order_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/services/order"
)

// sendWith sends a request with headers: name and value in turn.
func sendWith(h http.Handler, method, target string, headers ...string) *http.Response {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return described.Do(h, r).Result()
}

func TestETag(t *testing.T) {
	orders := new(memory.Orders)
	h := newAPI(orders, orders)
	id := place(t, h, laptop).ID
	one, two := "/orders/"+id, "/orders/"+place(t, h, laptop).ID
	tag := sendWith(h, "GET", one).Header.Get("ETag")
	if len(tag) < 10 || tag[0] != '"' || tag != sendWith(h, "GET", "/orders/"+strings.ToUpper(id)).Header.Get("ETag") {
		t.Fatalf("ETag %s is not strong and steady", tag)
	}
	if other := sendWith(h, "GET", two).Header.Get("ETag"); other == tag {
		t.Errorf("two orders have the tag %s", tag)
	}
	for _, method := range []string{"GET", "HEAD"} {
		for given, status := range map[string]int{
			tag: 304, "W/" + tag: 304, "*": 304, `"a", ` + tag: 304, `"a",W/"b",` + tag + " ": 304,
			`"a"`: 200, "": 200, strings.Trim(tag, `"`): 200, "W/*": 200,
		} {
			response := sendWith(h, method, one, "If-None-Match", given)
			body := bodyOf(t, response)
			if response.StatusCode != status || response.Header.Get("ETag") != tag || response.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s with If-None-Match %s: %s %v, want %d", method, given, response.Status, response.Header, status)
			}
			if (body != "") != (status == 200 && method == "GET") || status == 304 && response.Header.Get("Content-Type") != "" {
				t.Errorf("%s with If-None-Match %s: %v, body %q", method, given, response.Header, body)
			}
		}
	}
	if status := sendWith(h, "GET", one, "If-None-Match", `"a"`, "If-None-Match", tag).StatusCode; status != 304 {
		t.Errorf("two headers If-None-Match: %d, want 304", status)
	}
	if missing := sendWith(h, "GET", "/orders/0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234", "If-None-Match", "*"); missing.StatusCode != 404 || missing.Header.Get("ETag") != "" {
		t.Errorf("an order that does not exist: %s %v", missing.Status, missing.Header)
	}
}

// HEAD has the headers of GET and no body, on a real connection and in a recorder.
func TestHead(t *testing.T) {
	orders := new(memory.Orders)
	h := newAPI(orders, orders)
	one := place(t, h, laptop)
	place(t, h, laptop)
	server := httptest.NewServer(h)
	defer server.Close()
	for _, path := range []string{"/orders", "/orders?limit=1", "/orders/" + one.ID, "/orders/x", "/nowhere", "/livez", "/readyz", "/order", "//orders"} {
		get, head := sendWith(h, "GET", path, "X-Request-Id", "1"), sendWith(h, "HEAD", path, "X-Request-Id", "1")
		if diff := cmp.Diff(get.Header, head.Header); path != "//orders" && path != "/order" && diff != "" {
			t.Errorf("%s: headers (-GET +HEAD):\n%s", path, diff)
		}
		if body := bodyOf(t, head); body != "" || get.StatusCode != head.StatusCode {
			t.Errorf("HEAD %s: %s, body %q; GET: %s", path, head.Status, body, get.Status)
		}
		r, err := server.Client().Head(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		if body := bodyOf(t, r); body != "" || r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("HEAD %s on a connection: %v, body %q", path, r.Header, body)
		}
		r.Body.Close()
	}
	for path, allow := range map[string]string{"/order": "POST", "/orders": "GET, HEAD, POST", "/orders/x": "GET, HEAD", "/livez": "GET, HEAD"} {
		if r := sendWith(h, "OPTIONS", path); r.StatusCode != 405 || r.Header.Get("Allow") != allow {
			t.Errorf("OPTIONS %s: %s, Allow %q, want %q", path, r.Status, r.Header.Get("Allow"), allow)
		}
	}
}

// A client that follows Link gets what one gets that follows next_cursor, behind a proxy
// with a prefix, too.
func TestLink(t *testing.T) {
	orders := new(memory.Orders)
	h := newAPI(orders, orders)
	const user = `a+b&c=d>"; rel="x`
	for i := range 5 {
		place(t, h, fmt.Sprintf(`{"user_id":%q,"product":"p","quantity":%d}`, user, i+1))
	}
	place(t, h, laptop)
	const from, to = "2020-01-01T00:00:00+01:00", "2120-01-01T00:00:00Z"
	query := url.Values{"user_id": {user}, "limit": {"2"}, "created_from": {from}, "created_to": {to}}
	at, err := url.Parse("https://shop.example/api/v1/orders?" + query.Encode())
	if err != nil {
		t.Fatal(err)
	}
	var found []orderJSON
	for pages := 1; ; pages++ {
		var page pageJSON
		response := sendWith(h, "GET", strings.TrimPrefix(at.RequestURI(), "/api/v1"))
		decode(t, response, http.StatusOK, &page)
		found = append(found, page.Data...)
		link := response.Header.Values("Link")
		if page.NextCursor == nil {
			if len(link) > 0 || pages != 3 {
				t.Errorf("page %d is the last and has Link %q", pages, link)
			}
			break
		}
		reference, ok := strings.CutSuffix(strings.TrimPrefix(link[0], "<"), `>; rel="next"`)
		if !ok || len(link) != 1 || strings.ContainsAny(reference, `<>" `) {
			t.Fatalf("page %d has Link %q", pages, link)
		}
		if at, err = at.Parse(reference); err != nil {
			t.Fatal(err)
		}
		want := url.Values{"cursor": {*page.NextCursor}}
		for name, values := range query {
			want[name] = values
		}
		if diff := cmp.Diff(want, at.Query()); diff != "" || at.Path != "/api/v1/orders" {
			t.Fatalf("page %d links to %s (-want +got):\n%s", pages, at, diff)
		}
	}
	if len(found) != 5 {
		t.Errorf("found %d orders, want 5", len(found))
	}
}

func TestListOfPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		orders := new(memory.Orders)
		h := newAPI(orders, orders)
		var all []orderJSON
		for range 4 {
			all = append(all, place(t, h, laptop))
			time.Sleep(time.Second)
		}
		for _, tt := range []struct {
			query string
			want  []orderJSON
		}{
			{"created_from=" + all[1].CreatedAt + "&created_to=" + all[3].CreatedAt, []orderJSON{all[2], all[1]}},
			{"created_from=" + all[3].CreatedAt, []orderJSON{all[3]}},
			{"created_to=" + all[1].CreatedAt + "&user_id=123", []orderJSON{all[0]}},
			{"created_to=" + all[1].CreatedAt + "&user_id=124", []orderJSON{}},
			{"created_from=1999-01-01T00:00:00+01:00&created_to=1999-01-01T00:00:00.0001%2b01:00", []orderJSON{}},
		} {
			if diff := cmp.Diff(tt.want, list(t, h, "/orders?"+tt.query).Data); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.query, diff)
			}
		}
		next := *list(t, h, "/orders?limit=1&user_id=123").NextCursor
		for _, query := range []string{
			"created_from=2026-11-23", "created_from=", "created_to=yesterday", "created_from=2026-11-23T10:00:00Z&created_to=2026-11-23T10:00:00Z",
			"created_from=2026-11-24T10:00:00Z&created_to=2026-11-23T10:00:00Z", "created_to=0001-01-01T00:00:00Z",
			"cursor=" + next, "user_id=124&cursor=" + next, "user_id=123&created_from=2026-11-23T10:00:00Z&cursor=" + next,
		} {
			response := sendWith(h, "GET", "/orders?"+query)
			if field, _, _ := strings.Cut(query[strings.LastIndex(query, "&")+1:], "="); response.StatusCode != 422 || !strings.Contains(bodyOf(t, response), `"field":"`+field+`"`) {
				t.Errorf("%s: %s, want 422 that names %s", query, response.Status, field)
			}
		}
	})
}

// The limit is for the paths of orders, and for each client alone.
func TestRateLimit(t *testing.T) {
	orders := new(memory.Orders)
	h := newAPI(orders, orders)
	h.RateLimit = order.RateLimit{Requests: 2, Period: time.Hour}
	for i, status := range []int{201, 200, 429, 429} {
		method, path := []string{"POST", "GET"}[i%2], []string{"/order", "/orders"}[i%2]
		response := send(h, method, path, "application/json", laptop)
		if response.StatusCode != status || (response.Header.Get("Retry-After") != "") != (status == 429) || response.Header.Get("RateLimit") == "" {
			t.Errorf("request %d: %s %v, want %d", i, response.Status, response.Header, status)
		}
	}
	for _, path := range []string{"/livez", "/readyz"} {
		if r := sendWith(h, "GET", path); r.StatusCode != 200 || r.Header.Get("RateLimit") != "" {
			t.Errorf("%s: %s %v", path, r.Status, r.Header)
		}
	}
	if r := sendWith(newAPI(orders, orders), "GET", "/orders"); r.Header.Get("RateLimit-Policy") != "" {
		t.Errorf("without a limit: %v", r.Header)
	}
}

// At level info the log counts orders, and has each refusal and failure.
func TestLogLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, nil))
		store := new(memory.Orders)
		h := newLoggingAPI(store, store, log)
		for range 61 {
			place(t, h, laptop)
			time.Sleep(time.Second)
		}
		if n := strings.Count(out.String(), "\n"); n != 2 || !strings.Contains(out.String(), "since_last_line=60") {
			t.Errorf("%d lines, want 2 for 61 orders in a minute:\n%s", n, out.String())
		}
		out.Reset()
		for range 100 {
			send(h, "POST", "/order", "application/json", `{"user_id":"ann","product":"secret","quantity":0}`)
		}
		const line = `level=INFO msg="request refused" method=POST path=/order status=422 code=invalid fields=[quantity] request_id=`
		if n := strings.Count(out.String(), line); n != 100 || strings.Contains(out.String(), "secret") {
			t.Errorf("%d lines for 100 refusals:\n%.500s", n, out.String())
		}
	})
}
