package order_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/mock/gomock"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/mocks"
	"example.com/orderflow/services/order"
)

// authenticate takes a header such as "Bearer ann read" for a checked token.
func authenticate(r *http.Request) (order.Caller, error) {
	words := strings.Fields(r.Header.Get("Authorization"))
	switch {
	case len(words) == 0:
		return order.Caller{}, &order.Unauthenticated{}
	case len(words) == 1:
		return order.Caller{}, &order.Unauthenticated{Reason: "the header is wrong", Malformed: true}
	case words[1] == "expired":
		return order.Caller{User: "ann", ReadAll: true, WriteAll: true}, &order.Unauthenticated{Reason: `the "token" has expired`}
	case words[1] == "away":
		return order.Caller{User: "ann", ReadAll: true, WriteAll: true}, fmt.Errorf("keys: %w", ports.ErrUnavailable)
	case words[1] == "broken":
		return order.Caller{User: "ann", ReadAll: true, WriteAll: true}, errors.New("a fault")
	}
	return order.Caller{User: words[1], ReadAll: slices.Contains(words, "read"), WriteAll: slices.Contains(words, "write")}, nil
}

// newGuarded returns an API that authenticates, with an order of ann and one of bob.
func newGuarded(t *testing.T) (h *order.Handler, ofAnn, ofBob string) {
	t.Helper()
	orders := new(memory.Orders)
	h = newAPI(orders, orders)
	ofAnn = place(t, h, `{"user_id":"ann","product":"Laptop","quantity":1}`).ID
	ofBob = place(t, h, `{"user_id":"bob","product":"Laptop","quantity":1}`).ID
	h.Authenticate = authenticate
	return h, ofAnn, ofBob
}

// as sends a request with the header Authorization, and others as pairs of name and value.
func as(h http.Handler, authorization, method, target, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return described.Do(h, r)
}

// Who is not known places and reads nothing. The challenge says why.
func TestUnauthenticated(t *testing.T) {
	h, ofAnn, _ := newGuarded(t)
	const challenge = `Bearer realm="orderflow"`
	for _, request := range []struct{ method, target, body string }{
		{"POST", "/order", laptop}, {"POST", "/orders", laptop}, {"GET", "/orders", ""}, {"HEAD", "/orders", ""},
		{"GET", "/orders?user_id=ann", ""}, {"GET", "/orders/" + ofAnn, ""}, {"HEAD", "/orders/" + ofAnn, ""}, {"GET", "/orders/x", ""},
		{"POST", "/order", "{"}, {"GET", "/orders?limit=0", ""},
	} {
		for _, tt := range []struct {
			authorization   string
			status          int
			code, challenge string
		}{
			{"", 401, "unauthenticated", challenge},
			{"Bearer", 400, "malformed", challenge + `, error="invalid_request", error_description="the header is wrong"`},
			{"Bearer expired", 401, "invalid_token", challenge + `, error="invalid_token", error_description="the token has expired"`},
			{"Bearer " + strings.Repeat("x", 129), 401, "invalid_token", challenge + `, error="invalid_token", error_description="the subject of the token can't be a user: it must have 1 to 128 characters, at least one visible, none a control character"`},
			{"Bearer away", 503, "unavailable", ""},
			{"Bearer broken", 500, "internal", ""},
		} {
			w := as(h, tt.authorization, request.method, request.target, request.body)
			if w.Code != tt.status || w.Header().Get("WWW-Authenticate") != tt.challenge || request.method != "HEAD" && !strings.Contains(w.Body.String(), `"code":"`+tt.code+`"`) {
				t.Errorf("%s %s as %q: answered %d %q %s", request.method, request.target, tt.authorization, w.Code, w.Header().Get("WWW-Authenticate"), w.Body)
			}
			if retry := w.Header().Get("Retry-After"); (retry != "") != (tt.status == 503) {
				t.Errorf("%s %s as %q: Retry-After is %q", request.method, request.target, tt.authorization, retry)
			}
		}
	}
	if page := list(t, unguarded(h), "/orders"); len(page.Data) != 2 {
		t.Errorf("there are %d orders, want the first 2", len(page.Data))
	}
	for _, open := range []string{"/livez", "/readyz", "/openapi.yaml", "/asyncapi.yaml"} {
		if w := as(h, "", "GET", open, ""); w.Code != 200 {
			t.Errorf("%s: answered %d", open, w.Code)
		}
	}
}

// unguarded returns the handler without authentication.
func unguarded(h *order.Handler) *order.Handler {
	h.Authenticate = nil
	return h
}

func TestPlaceAsCaller(t *testing.T) {
	h, _, _ := newGuarded(t)
	body := func(user string) string {
		if user == "none" {
			return `{"product":"Laptop","quantity":1}`
		}
		return `{"user_id":"` + user + `","product":"Laptop","quantity":1}`
	}
	for _, tt := range []struct {
		authorization, user string // in the body
		status              int
		want                string // user of the order
	}{
		{"Bearer ann", "none", 201, "ann"}, {"Bearer ann", "ann", 201, "ann"},
		{"Bearer ann", "bob", 403, ""}, {"Bearer ann", "", 403, ""}, {"Bearer ann", "Ann", 403, ""}, {"Bearer ann", "ann ", 403, ""},
		{"Bearer ann read", "bob", 403, ""},
		{"Bearer shop write", "none", 201, "shop"}, {"Bearer shop write", "bob", 201, "bob"}, {"Bearer shop write", "", 422, ""},
	} {
		for _, path := range []string{"/order", "/orders"} {
			w := as(h, tt.authorization, "POST", path, body(tt.user))
			if w.Code != tt.status || tt.want != "" && !strings.Contains(w.Body.String(), `"user_id":"`+tt.want+`"`) {
				t.Errorf("%s for %q at %s: answered %d %s", tt.authorization, tt.user, path, w.Code, w.Body)
			}
			if challenge := w.Header().Get("WWW-Authenticate"); (tt.status == 403) != strings.Contains(challenge, `error="insufficient_scope", error_description="this token places orders of its own user only", scope="orders:write:all"`) {
				t.Errorf("%s for %q: challenge %q", tt.authorization, tt.user, challenge)
			}
		}
	}
	if w := as(h, "Bearer ann", "POST", "/order", `{"quantity":1}`); w.Code != 422 || strings.Contains(w.Body.String(), "user_id") {
		t.Errorf("an order without a product: answered %d %s", w.Code, w.Body)
	}
	if w := as(unguarded(h), "Bearer ann", "POST", "/order", body("none")); w.Code != 422 {
		t.Errorf("without authentication the user is missing: answered %d %s", w.Code, w.Body)
	}
}

// An order of another user is as one that does not exist, however it is asked for.
func TestReadAsCaller(t *testing.T) {
	h, ofAnn, ofBob := newGuarded(t)
	const unknown = "0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234"
	answer := func(authorization, method, id string, header ...string) string {
		w := as(h, authorization, method, "/orders/"+id, "", header...)
		return strings.ReplaceAll(fmt.Sprint(w.Code, w.Header()["Etag"], w.Header()["Www-Authenticate"], len(w.Body.String())), id, "ID")
	}
	for _, header := range [][]string{nil, {"If-None-Match", "*"}} {
		for _, method := range []string{"GET", "HEAD"} {
			missing := answer("Bearer ann", method, unknown, header...)
			if got := answer("Bearer ann", method, ofBob, header...); got != missing || !strings.HasPrefix(got, "404") {
				t.Errorf("%s of another's order: answered %s, of one that does not exist %s", method, got, missing)
			}
			for _, allowed := range [][2]string{{"Bearer ann", ofAnn}, {"Bearer bob", ofBob}, {"Bearer carl read", ofAnn}, {"Bearer carl read", ofBob}} {
				if got := answer(allowed[0], method, allowed[1], header...); !strings.HasPrefix(got, "200") && !strings.HasPrefix(got, "304") {
					t.Errorf("%s %v as %s: answered %s", method, header, allowed[0], got)
				}
			}
			if got := answer("Bearer carl write", method, ofAnn, header...); !strings.HasPrefix(got, "404") {
				t.Errorf("%s with the scope to write: answered %s", method, got)
			}
		}
	}
}

func TestListAsCaller(t *testing.T) {
	h, ofAnn, ofBob := newGuarded(t)
	for _, tt := range []struct {
		authorization, query string
		want                 []string // nil: 403
	}{
		{"Bearer ann", "", []string{ofAnn}}, {"Bearer ann", "?user_id=ann", []string{ofAnn}}, {"Bearer ann", "?limit=5", []string{ofAnn}},
		{"Bearer ann", "?user_id=bob", nil}, {"Bearer ann", "?user_id=nobody", nil}, {"Bearer ann write", "?user_id=bob", nil},
		{"Bearer carl", "", []string{}}, {"Bearer carl read", "", []string{ofBob, ofAnn}}, {"Bearer carl read", "?user_id=bob", []string{ofBob}},
	} {
		var page pageJSON
		w := as(h, tt.authorization, "GET", "/orders"+tt.query, "")
		if tt.want == nil {
			if w.Code != 403 || !strings.Contains(w.Header().Get("WWW-Authenticate"), `scope="orders:read:all"`) {
				t.Errorf("%s%s: answered %d %v", tt.authorization, tt.query, w.Code, w.Header())
			}
			continue
		}
		decode(t, w.Result(), 200, &page)
		got := []string{}
		for _, o := range page.Data {
			got = append(got, o.ID)
		}
		slices.Sort(got)
		slices.Sort(tt.want)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s%s: listed %v, want %v", tt.authorization, tt.query, got, tt.want)
		}
	}

	// A cursor of everybody's list shows nobody else's orders.
	var page pageJSON
	decode(t, as(h, "Bearer carl read", "GET", "/orders?limit=1", "").Result(), 200, &page)
	w := as(h, "Bearer ann", "GET", "/orders?cursor="+*page.NextCursor, "")
	if w.Code == 200 && strings.Contains(w.Body.String(), "bob") {
		t.Errorf("another list's cursor shows %s", w.Body)
	}
}

// A key of another user is not known, and an own one answers with the own order.
func TestKeysOfCallers(t *testing.T) {
	h, _, _ := newGuarded(t)
	const body = `{"product":"Laptop","quantity":1}`
	replayed := func(authorization, body string) (status int, again bool, placed string) {
		w := as(h, authorization, "POST", "/order", body, "Idempotency-Key", "k")
		return w.Code, w.Header().Get("Idempotency-Replayed") == "true", w.Header().Get("Location")
	}
	_, _, first := replayed("Bearer ann", body)
	if status, again, place := replayed("Bearer ann", `{"user_id":"ann","product":"Laptop","quantity":1}`); status != 201 || !again || place != first {
		t.Errorf("the own key: answered %d, replayed %v, %s", status, again, place)
	}
	if status, again, place := replayed("Bearer bob", body); status != 201 || again || place == first {
		t.Errorf("another user's key: answered %d, replayed %v, %s", status, again, place)
	}
	if status, again, _ := replayed("Bearer bob", `{"user_id":"ann","product":"Laptop","quantity":1}`); status != 403 || again {
		t.Errorf("another user's key and name: answered %d, replayed %v", status, again)
	}
	if status, again, place := replayed("Bearer shop write", `{"user_id":"ann","product":"Laptop","quantity":1}`); status != 201 || !again || place != first {
		t.Errorf("the user's key by one who may place for all: answered %d, replayed %v, %s", status, again, place)
	}
}

// Nobody knows whose an unreadable order is.
func TestUnreadableOrderOfSomebody(t *testing.T) {
	unreadable := mocks.NewMockOrderRepository(gomock.NewController(t))
	unreadable.EXPECT().Get(gomock.Any(), gomock.Any()).Return(domain.Order{}, &ports.UnreadableError{ID: "x", Field: "quantity", Reason: "is a text"}).AnyTimes()
	h := newAPI(unreadable, new(memory.Orders))
	h.Authenticate = authenticate
	const target = "/orders/0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234"
	if w := as(h, "Bearer ann", "GET", target, ""); w.Code != 404 {
		t.Errorf("answered %d %s", w.Code, w.Body)
	}
	if w := as(h, "Bearer ann read", "GET", target, ""); w.Code != 500 {
		t.Errorf("who may read all orders: answered %d %s", w.Code, w.Body)
	}
}

// The rate limit counts the user, whatever the token is. A token that is not valid counts
// by address, so that new ones don't help.
func TestRateLimitByUser(t *testing.T) {
	h, _, _ := newGuarded(t)
	h.RateLimit = order.RateLimit{Requests: 1, Period: time.Hour, ByAuthorization: true}
	for i, tt := range []struct {
		authorization string
		status        int
	}{
		{"Bearer ann", 200}, {"Bearer ann read", 429}, {"Bearer bob", 200}, {"Bearer bob", 429},
		{"Bearer expired 1", 401}, {"Bearer expired 2", 429}, {"", 429}, {"Bearer carl", 200},
	} {
		if w := as(h, tt.authorization, "GET", "/orders", ""); w.Code != tt.status {
			t.Errorf("%d, %q: answered %d, want %d", i+1, tt.authorization, w.Code, tt.status)
		}
	}

	h, _, _ = newGuarded(t)
	h.RateLimit = order.RateLimit{Requests: 1, Period: time.Hour}
	asked := 0
	h.Authenticate = func(r *http.Request) (order.Caller, error) {
		asked++
		return authenticate(r)
	}
	for range 3 {
		as(h, "Bearer ann", "GET", "/orders", "")
	}
	if asked != 1 {
		t.Errorf("%d tokens were checked for a client with 1 request", asked)
	}
}

// A subject that NewOrder refuses is nobody.
func TestSubjectsAreUsers(t *testing.T) {
	h, _, _ := newGuarded(t)
	for _, subject := range []string{"", " ", "\u200b", "a\x00b", "a\nb", "\xff", strings.Repeat("é", domain.MaxUserID+1)} {
		h.Authenticate = func(*http.Request) (order.Caller, error) { return order.Caller{User: subject, ReadAll: true}, nil }
		if w := as(h, "Bearer x", "GET", "/orders", ""); w.Code != 401 || !strings.Contains(w.Body.String(), "the subject of the token can't be a user") {
			t.Errorf("%q: answered %d %s", subject, w.Code, w.Body)
		}
	}
	h.Authenticate = func(*http.Request) (order.Caller, error) {
		return order.Caller{User: strings.Repeat("é", domain.MaxUserID)}, nil
	}
	if w := as(h, "Bearer x", "GET", "/orders", ""); w.Code != 200 {
		t.Errorf("the longest user: answered %d %s", w.Code, w.Body)
	}
}
