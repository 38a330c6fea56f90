package notification_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/notification"
)

// authenticate takes a header such as "Bearer ann read" for a checked token.
func authenticate(r *http.Request) (notification.Caller, error) {
	words := strings.Fields(r.Header.Get("Authorization"))
	switch {
	case len(words) == 0:
		return notification.Caller{ReadAll: true}, &notification.Unauthenticated{}
	case len(words) == 1:
		return notification.Caller{ReadAll: true}, &notification.Unauthenticated{Reason: "the header is wrong", Malformed: true}
	case words[1] == "expired":
		return notification.Caller{User: "ann", ReadAll: true}, &notification.Unauthenticated{Reason: "the token has expired"}
	case words[1] == "away":
		return notification.Caller{User: "ann", ReadAll: true}, fmt.Errorf("keys: %w", ports.ErrUnavailable)
	case words[1] == "broken":
		return notification.Caller{User: "ann", ReadAll: true}, errors.New("a fault")
	case words[1] == "nobody":
		return notification.Caller{ReadAll: true}, nil
	}
	return notification.Caller{User: words[1], ReadAll: slices.Contains(words, "read")}, nil
}

// A caller gets the own notifications alone, whatever else is asked for.
func TestNotificationsOfCaller(t *testing.T) {
	store := new(memory.Store)
	recordStories(t, store)
	h := must(notification.NewHandler(newControl(t, storeOf(store)), pinger{}, pinger{}, discard))
	h.Authenticate = authenticate
	ask := func(authorization, query string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "/notifications"+query, nil)
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		return do(h, r)
	}
	for _, tt := range []struct {
		authorization, query string
		status               int
		sees, notSees        string // parts of the answer
	}{
		{"", "?order_id=" + orderA, 401, `"code":"unauthenticated"`, orderB},
		{"Bearer", "?order_id=" + orderA, 400, `"code":"malformed"`, orderB},
		{"Bearer expired", "?order_id=" + orderA, 401, `"code":"invalid_token"`, orderB},
		{"Bearer nobody", "?order_id=" + orderA, 401, `the subject of the token can't be a user`, orderB},
		{"Bearer away", "?order_id=" + orderA, 503, `"code":"unavailable"`, orderB},
		{"Bearer broken", "?order_id=" + orderA, 500, `"code":"internal"`, orderB},
		{"Bearer expired", "?limit=x", 401, `"code":"invalid_token"`, "limit"},
		{"Bearer ann", "", 200, orderA, orderB},
		{"Bearer ann", "?order_id=" + orderA, 200, orderA, orderB},
		{"Bearer ann", "?user_id=ann", 200, orderA, orderB},
		{"Bearer ann", "?state=skipped", 200, `"data":[]`, orderB},
		{"Bearer ann", "?order_id=" + orderB, 200, `"data":[]`, orderB},
		{"Bearer ann", "?user_id=bob", 403, `"code":"insufficient_scope"`, orderB},
		{"Bearer ann", "?order_id=" + orderB + "&user_id=bob", 403, `"code":"insufficient_scope"`, orderB},
		{"Bearer carl", "", 200, `"data":[]`, orderA},
		{"Bearer carl read", "?order_id=" + orderB, 200, orderB, orderA},
		{"Bearer carl read", "?user_id=ann", 200, orderA, orderB},
		{"Bearer carl read", "", 422, "order_id", orderA},
	} {
		w := ask(tt.authorization, tt.query)
		if body := w.Body.String(); w.Code != tt.status || !strings.Contains(body, tt.sees) || strings.Contains(body, tt.notSees) {
			t.Errorf("%q %s: answered %d %s, want %d with %s", tt.authorization, tt.query, w.Code, body, tt.status, tt.sees)
		}
		if challenge := w.Header().Get("WWW-Authenticate"); (challenge != "") != slices.Contains([]int{400, 401, 403}, tt.status) {
			t.Errorf("%q %s: challenge %q", tt.authorization, tt.query, challenge)
		}
	}
}
