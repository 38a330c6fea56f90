package console_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/account"
	"example.com/orderflow/services/actions"
	"example.com/orderflow/services/console"
	"example.com/orderflow/services/deadletters"
)

func TestOpenAPI(t *testing.T) {
	c := newWorld(t).console()
	c.RequestTimeout = 10 * time.Millisecond // nothing runs, so the overview does not come
	served := c.Operations()
	for i, operation := range served {
		served[i] = strings.Replace(operation, "/{$}", "/", 1)
	}
	slices.Sort(served)
	if diff := cmp.Diff(served, described.Operations()); diff != "" {
		t.Errorf("operations (-served +documented):\n%s", diff)
	}
	described.CheckRefusals(t, c)
	for _, e := range described.Examples() {
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Millisecond) // for those that wait
		if w := described.Do(c, e.Request().WithContext(ctx)); w.Code >= 300 && e.Name != "getOrderWay" && e.Name != "getOverview" {
			t.Errorf("%s: answered %d %s", e.Name, w.Code, w.Body)
		}
		stop()
	}
}

// The page and all of its files are served, and may load nothing else.
func TestPage(t *testing.T) {
	c := newWorld(t).console()
	entries, err := os.ReadDir("page")
	if err != nil {
		t.Fatal(err)
	}
	targets := map[string]string{"/": "index.html"}
	for _, entry := range entries {
		targets["/console/"+entry.Name()] = entry.Name()
	}
	types := map[string]string{".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
	for target, name := range targets {
		content, err := os.ReadFile(path.Join("page", name))
		if err != nil {
			t.Fatal(err)
		}
		w := described.Do(c, httptest.NewRequest(http.MethodGet, target, nil))
		if w.Code != 200 || w.Body.String() != string(content) || w.Header().Get("Content-Type") != types[path.Ext(name)] {
			t.Errorf("%s: answered %d %v, want the file as %s", target, w.Code, w.Header(), types[path.Ext(name)])
		}
		for header, want := range map[string]string{
			"Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
			"Cache-Control":           "no-cache", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		} {
			if got := w.Header().Get(header); got != want {
				t.Errorf("%s: %s is %q, want %q", target, header, got, want)
			}
		}
		again := httptest.NewRequest(http.MethodGet, target, nil)
		again.Header.Set("If-None-Match", w.Header().Get("ETag"))
		if w := described.Do(c, again); w.Code != http.StatusNotModified || w.Body.Len() > 0 {
			t.Errorf("%s with its ETag: answered %d, want 304", target, w.Code)
		}
		if !console.IsPage(target) {
			t.Errorf("%s is not the page's", target)
		}
	}
	for _, target := range []string{"/console/x.js", "/console/page.go", "/console/"} {
		if status, body := get(c, target); status != 404 || console.IsPage(target) {
			t.Errorf("%s: answered %d %s, want 404", target, status, body)
		}
	}
	for _, target := range []string{"/console/events", "/console/overview", "/index.html", "/account", "", "/other/index.html"} {
		if console.IsPage(target) {
			t.Errorf("%s is the page's", target)
		}
	}
}

// The page's list of actions can be narrowed to each kind.
func TestPageKnowsEachAction(t *testing.T) {
	script, err := os.ReadFile("page/actions.js")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range actions.Names {
		if !regexp.MustCompile(`\b` + name + `: '`).Match(script) {
			t.Errorf("actions.js has no word for %s", name)
		}
	}
}

func TestConstructorRefuses(t *testing.T) {
	complete := newWorld(t).parts
	for want, without := range map[string]func(*console.Parts){
		"an office": func(p *console.Parts) { p.Office = nil }, "a control": func(p *console.Parts) { p.Control = nil },
		"a service of dead letters": func(p *console.Parts) { p.Letters = nil },
	} {
		parts := complete
		without(&parts)
		if _, err := console.New(parts, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("without %s: error %v", want, err)
		}
	}
}

func TestOverview(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.place(1, 2)
		w.parts.Store = pinger(func() error { return errAway })
		c := w.run()
		dryRun := make(chan error)
		ctx, stop := context.WithCancel(t.Context())
		go func() { dryRun <- w.parts.Letters.Run(ctx) }()
		synctest.Wait()
		request := deadletters.JobRequest{Decision: deadletters.Decision{Action: deadletters.Replay, DryRun: true}, Selection: deadletters.Selection{All: true}}
		if _, err := w.parts.Letters.StartJob(t.Context(), request); err != nil {
			t.Fatal(err)
		}
		stop()
		if err := <-dryRun; err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Second)
		status, body := get(c, "/console/overview")
		for _, want := range []string{
			`"program":"orderflow","version":"v1","orders_known":true,"can_order":true`, `"orders":{"orders":2,"published":2`,
			`"store":{"status":"down","detail":"`, `"broker":{"status":"up"}`, `"progress":{"status":"unknown"}`, `"rates":{"orders":0,"notified":0,"channels":[{"channel":"mail","sent":0}]}`,
			`"channels":[{"name":"mail","kind":"smtp","configured":true,"pauses":[]}],"jobs":[{"id":"`,
			`"history":{"step_seconds":5,"points":[{"at":"2000-01-01T00:00:00.000Z","orders":null,"notified":null,"waiting":2,"dead":0},{"at":"2000-01-01T00:00:05.000Z","orders":0,"notified":0,"waiting":2,"dead":0}]}`,
		} {
			if status != 200 || !strings.Contains(body, want) {
				t.Errorf("answered %d %s, want %s", status, body, want)
			}
		}
	})
}

// Before the first look nothing is known.
func TestOverviewTooEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if status, body := get(newWorld(t).console(), "/console/overview"); status != 503 || !strings.Contains(body, `"code":"unavailable"`) {
			t.Errorf("answered %d %s", status, body)
		}
	})
}

func TestPlace(t *testing.T) {
	w := newWorld(t)
	place := func(body, key string) (int, string) {
		r := httptest.NewRequest(http.MethodPost, "/console/orders", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		if key != "" {
			r.Header.Set("Idempotency-Key", key)
		}
		answer := described.Do(w.console(), r)
		return answer.Code, answer.Body.String()
	}
	const laptop = `{"user_id":"ann","product":"Laptop","quantity":1}`
	for _, tt := range []struct {
		body, key string
		status    int
		want      string
	}{
		{laptop, "", 201, `"user_id":"ann","product":"Laptop","quantity":1`},
		{laptop, "k", 201, `"id":"`},
		{laptop, "k", 201, `"id":"`},
		{`{"user_id":"ann","product":"Mouse","quantity":1}`, "k", 422, `"code":"idempotency_key_reused"`},
		{`{"user_id":"ann","product":"","quantity":0}`, "", 422, `"code":"invalid"`},
	} {
		if status, body := place(tt.body, tt.key); status != tt.status || !strings.Contains(body, tt.want) {
			t.Errorf("%s: answered %d %s, want %d %s", tt.body, status, body, tt.status, tt.want)
		}
	}
	for err, status := range map[error]int{errors.New("corrupt"): 500} {
		w.parts.Place = func(http.ResponseWriter, *http.Request) error { return err }
		if got, body := place(laptop, ""); got != status {
			t.Errorf("%v: answered %d %s", err, got, body)
		}
	}
	w.parts.Place = nil
	if status, body := place(laptop, ""); status != 404 || !strings.Contains(body, "takes no orders") {
		t.Errorf("answered %d %s, want 404", status, body)
	}
}

// orders are those of another process, which can be away.
type orders struct {
	account.OrderStore
	err error
}

func (o orders) Get(ctx context.Context, id domain.OrderID) (domain.Order, error) {
	if o.err != nil {
		return domain.Order{}, o.err
	}
	return o.OrderStore.Get(ctx, id)
}

func (o orders) List(ctx context.Context, query ports.OrderQuery) (ports.OrderPage, error) {
	if o.err != nil {
		return ports.OrderPage{}, o.err
	}
	return o.OrderStore.List(ctx, query)
}

func TestSearch(t *testing.T) {
	w := newWorld(t)
	w.place(1, 3)
	first := newOrder(1)
	id := string(first.ID)
	found := func(kind string, orders int) string {
		return fmt.Sprintf(`{"kind":"%s","orders":[%s`, kind, map[bool]string{true: "{", false: "]"}[orders > 0])
	}
	for _, tt := range []struct {
		query  string
		status int
		want   string
	}{
		{"q=" + id, 200, found("order", 1) + `"order_id":"` + id + `","user_id":"ann","product":"Laptop","quantity":1,"created_at":"`},
		{"q=%20" + strings.ToUpper(id) + "%20", 200, found("order", 1)},
		{"q=" + id + "-created", 200, found("event", 1)},
		{"q=" + id + "-created.mail.user", 200, found("event", 1)},
		{"q=ann", 200, found("user", 1)},
		{"q=ann&limit=2", 200, `"next_cursor":"`},
		{"q=bob", 200, found("none", 0) + `,"next_cursor":null}`},
		{"q=0192f0c1-2d3e-7f4a-8b5c-00000000ffff", 200, found("none", 0)},
		{"q=" + id + "x", 200, found("none", 0)},
		{"", 422, `"field":"q"`},
		{"q=", 422, `"field":"q"`},
		{"q=%20", 422, `"field":"q"`},
		{"q=" + strings.Repeat("x", 600), 422, `"field":"q"`},
		{"q=ann&limit=101", 422, `"field":"limit"`},
		{"q=ann&cursor=x", 422, `"field":"cursor"`},
	} {
		if status, body := get(w.console(), "/console/search?"+tt.query); status != tt.status || !strings.Contains(body, tt.want) {
			t.Errorf("%s: answered %d %s, want %d %s", tt.query, status, body, tt.status, tt.want)
		}
	}
	for err, status := range map[error]int{
		errAway: 503, errors.New("corrupt"): 500, &ports.UnreadableError{ID: id, Field: "quantity", Reason: "is a text"}: 500,
	} {
		w.parts.Orders = orders{w.store.Orders(), err}
		for _, q := range []string{id, "ann"} {
			if got, body := get(w.console(), "/console/search?q="+q); got != status || strings.Contains(body, "192.0.2.1") {
				t.Errorf("%s: answered %d %s, want %d", q, got, body, status)
			}
		}
	}

	w.parts.Orders = nil // the notifications tell the ids
	w.record(1, domain.Notification{State: domain.Sent})
	for query, want := range map[string]string{
		"q=" + id: `{"kind":"order","orders":[{"order_id":"` + id + `"}],"next_cursor":null}`,
		"q=ann":   `{"kind":"user","orders":[{"order_id":"` + id + `","user_id":"ann"}],"next_cursor":null}`,
		"q=bob":   found("none", 0),
	} {
		if status, body := get(w.console(), "/console/search?"+query); status != 200 || !strings.Contains(body, want) {
			t.Errorf("without orders, %s: answered %d %s, want %s", query, status, body, want)
		}
	}
}
