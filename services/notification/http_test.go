package notification_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"go.uber.org/mock/gomock"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/mocks"
	"example.com/orderflow/services/notification"
)

type pinger struct{ err error }

func (p pinger) Ping(context.Context) error { return p.err }

func newHandler(control *notification.Control) http.Handler {
	return must(notification.NewHandler(control, pinger{}, pinger{}, discard))
}

func TestNotifications(t *testing.T) {
	store := new(memory.Store)
	recordStories(t, store)
	h := newHandler(newControl(t, storeOf(store)))

	status, body := call(h, "GET", "/notifications?order_id="+orderA, "")
	if status != 200 {
		t.Fatalf("got %d %s", status, body)
	}
	checkGolden(t, "notifications", indent(t, body))
	for _, secret := range []string{"ann.lee", "s3cret"} {
		if strings.Contains(body, secret) {
			t.Errorf("the public answer contains %q", secret)
		}
	}
}

func indent(t *testing.T, text string) string {
	t.Helper()
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(text), "", "  "); err != nil {
		t.Fatal(err)
	}
	return indented.String() + "\n"
}

// channelsOf returns the channels and states in the answer, in order.
func channelsOf(t *testing.T, body string) (list string, next string) {
	t.Helper()
	var page struct {
		Data       []notification.View `json:"data"`
		HasMore    bool                `json:"has_more"`
		NextCursor *string             `json:"next_cursor"`
	}
	if err := json.Unmarshal([]byte(body), &page); err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, v := range page.Data {
		found = append(found, v.Channel+" "+string(v.State))
	}
	if page.HasMore != (page.NextCursor != nil) {
		t.Errorf("has_more is %v, next_cursor %v", page.HasMore, page.NextCursor)
	}
	if page.HasMore {
		next = *page.NextCursor
	}
	return strings.Join(found, ", "), next
}

func TestNotificationFilters(t *testing.T) {
	store := new(memory.Store)
	recordStories(t, store)
	control := newControl(t, storeOf(store))
	public, admin := newHandler(control), must(notification.NewAdminHandler(control, discard))
	const oldestFirst = "log sent, email retrying, webhook held, webhook dead"
	for _, tt := range []struct {
		h      http.Handler
		target string
		want   string
	}{
		{public, "/notifications?order_id=" + orderA, oldestFirst},
		{public, "/notifications?order_id=" + strings.ToUpper(orderA), oldestFirst},
		{public, "/notifications?order_id=" + orderA[:32] + "ffff", ""},
		{public, "/notifications?user_id=ann", "webhook dead, webhook held, email retrying, log sent"},
		{public, "/notifications?user_id=%20", ""},
		{public, "/notifications?channel=email", "email skipped, email retrying"},
		{public, "/notifications?channel=removed", ""},
		{public, "/notifications?state=sent", "log sent"},
		{public, "/notifications?state=sent,dead,sent", "webhook dead, log sent"},
		{public, "/notifications?state=skipped&user_id=ann", ""},
		{public, "/notifications?from=2026-11-23T10:03:00Z", "email skipped, webhook dead, webhook held"},
		{public, "/notifications?from=2026-11-23T10:03:00.0001Z", "email skipped, webhook dead"},
		{public, "/notifications?to=2026-11-23T10:03:00Z", "email retrying, log sent"},
		{public, "/notifications?to=2026-11-23T10:03:00.0001Z", "webhook held, email retrying, log sent"},
		{public, "/notifications?from=2026-11-23T12:02:00+02:00&to=2026-11-23T10:03:00Z", "email retrying"},
		{public, "/notifications?from=2026-11-23T12:02:00%2B02:00&to=2026-11-23T10:03:00Z", "email retrying"},
		{admin, "/undelivered", "webhook dead, webhook held, email retrying"},
		{admin, "/undelivered?order_id=" + orderA, "email retrying, webhook held, webhook dead"},
		{admin, "/undelivered?state=skipped,held", "email skipped, webhook held"},
		{admin, "/undelivered?user_id=bob", ""},
	} {
		status, body := call(tt.h, "GET", tt.target, "")
		if got, _ := channelsOf(t, body); status != 200 || got != tt.want {
			t.Errorf("%s: got %d %q, want %q", tt.target, status, got, tt.want)
		}
		paged, cursor := []string{}, ""
		for range 10 {
			target := tt.target + "?limit=1"
			if strings.Contains(tt.target, "?") {
				target = tt.target + "&limit=1"
			}
			if cursor != "" {
				target += "&cursor=" + url.QueryEscape(cursor)
			}
			_, body := call(tt.h, "GET", target, "")
			var got string
			if got, cursor = channelsOf(t, body); got != "" {
				paged = append(paged, got)
			}
			if cursor == "" {
				break
			}
		}
		if got := strings.Join(paged, ", "); got != tt.want {
			t.Errorf("%s by pages: got %q, want %q", tt.target, got, tt.want)
		}
	}
}

func TestNotificationsRefused(t *testing.T) {
	control := newControl(t, storeOf(new(memory.Store)))
	checkAnswers(t, newHandler(control), []exchange{
		{"GET", "/notifications", "", 422, `"field":"order_id","detail":"must be an order's id, or another of these must be given: user_id, channel, state, from, to"`},
		{"GET", "/notifications?limit=20", "", 422, `"field":"order_id"`},
		{"GET", "/notifications?order_id=42", "", 422, `"field":"order_id","detail":"must be an order's id`},
		{"GET", "/notifications?order_id=", "", 422, `"field":"order_id","detail":"is empty`},
		{"GET", "/notifications?order_id", "", 422, `"field":"order_id","detail":"is empty`},
		{"GET", "/notifications?order=42", "", 422, `"field":"order","detail":"is not a parameter of this path; known: order_id, user_id, channel, state, from, to, limit, cursor"`},
		{"GET", "/notifications?state=lost", "", 422, `"field":"state","detail":"must be of sent, retrying, held, dead, skipped, separated by commas"`},
		{"GET", "/notifications?state=sent,", "", 422, `"field":"state"`},
		{"GET", "/notifications?state=sent&state=dead", "", 422, `"field":"state","detail":"is given more than once"`},
		{"GET", "/notifications?state=Sent", "", 422, `"field":"state"`},
		{"GET", "/notifications?from=monday", "", 422, `"field":"from","detail":"must be a time such as 2026-11-23T10:00:00Z"`},
		{"GET", "/notifications?from=2026-11-23%2010:00:00Z", "", 422, `"field":"from"`},
		{"GET", "/notifications?to=0000-01-01T00:00:00Z", "", 422, `"field":"to"`},
		{"GET", "/notifications?from=2026-11-23T10:00:00Z&to=2026-11-23T10:00:00Z", "", 422, `"field":"to","detail":"must be later than from"`},
		{"GET", "/notifications?order_id=42&state=x&from=y", "", 422, `"order_id".*"state".*"from"`},
		{"GET", "/notifications?user_id=ann&limit=0", "", 422, `"field":"limit","detail":"must be a whole number from 1 to 100"`},
		{"GET", "/notifications?user_id=ann&limit=101", "", 422, `"field":"limit"`},
		{"GET", "/notifications?user_id=ann&cursor=x", "", 422, `"field":"cursor","detail":"must be the next_cursor of an earlier page"`},
		{"GET", "/notifications?user_id=%00", "", 422, `"field":"user_id"`},
		{"POST", "/notifications", "", 405, `"detail":"this path does not support POST; use GET, HEAD"`},
		{"GET", "/undelivered", "", 404, `"code":"not_found"`},
		{"GET", "/contacts/ann", "", 404, `"code":"not_found"`},
	})
	checkAnswers(t, must(notification.NewAdminHandler(control, discard)), []exchange{
		{"GET", "/undelivered?state=sent", "", 422, `"field":"state","detail":"must be of retrying, held, dead, skipped: sent notifications are delivered"`},
		{"GET", "/undelivered?state=dead,sent", "", 422, `"field":"state"`},
		{"GET", "/undelivered?cursor=x", "", 422, `"field":"cursor"`},
		{"GET", "/undelivered?user=ann", "", 422, `"field":"user"`},
		{"DELETE", "/undelivered", "", 405, `use GET, HEAD`},
		{"GET", "/notifications?user_id=ann", "", 404, `"code":"not_found"`},
	})
}

// Lists skip unreadable records and count them. Internal texts stay inside.
func TestNotificationsOfAFailingLog(t *testing.T) {
	for _, tt := range []struct {
		page   ports.NotificationPage
		err    error
		status int
	}{
		{ports.NotificationPage{Unreadable: 2}, nil, 200},
		{ports.NotificationPage{}, fmt.Errorf("list: secret: %w", ports.ErrUnavailable), 503},
		{ports.NotificationPage{}, fmt.Errorf("list: secret: %w", context.DeadlineExceeded), 503},
		{ports.NotificationPage{}, errors.New("list: secret: broken document"), 500},
	} {
		log := mocks.NewMockDeliveryLog(gomock.NewController(t))
		log.EXPECT().List(gomock.Any(), gomock.Any()).Return(tt.page, tt.err).Times(2)
		store := storeOf(new(memory.Store))
		store.Deliveries = log
		control := newControl(t, store)
		for target, h := range map[string]http.Handler{
			"/notifications?state=dead": newHandler(control),
			"/undelivered?state=dead":   must(notification.NewAdminHandler(control, discard)),
		} {
			w := do(h, httptest.NewRequest("GET", target, nil))
			if w.Code != tt.status || strings.Contains(w.Body.String(), "secret") {
				t.Errorf("%s, %v: got %d %s, want %d", target, tt.err, w.Code, w.Body, tt.status)
			}
			if got := w.Header().Get("Unreadable-Records"); tt.err == nil && got != "2" {
				t.Errorf("%s: Unreadable-Records is %q, want 2", target, got)
			}
		}
	}
}

// While the service stops, each answer closes its connection.
func TestAnswersWhileStopping(t *testing.T) {
	h := must(notification.NewHandler(newControl(t, storeOf(new(memory.Store))), pinger{}, pinger{}, discard))
	for _, stopped := range []bool{false, true} {
		if stopped {
			h.Stop()
		}
		for _, target := range []string{"/notifications", "/livez", "/readyz", "/nowhere"} {
			w := do(h, httptest.NewRequest("GET", target, nil))
			if closes := w.Header().Get("Connection") == "close"; closes != stopped {
				t.Errorf("stopped %v: %s: Connection %q", stopped, target, w.Header().Get("Connection"))
			}
		}
	}
}

func TestReadiness(t *testing.T) {
	down := pinger{errors.New("down")}
	tests := []struct {
		name                   string
		store, broker, channel ports.Pinger
		stopped                bool
		status                 int
		want                   string
	}{
		{"all up", pinger{}, pinger{}, nil, false, 200, `{"status":"ready","checks":{"broker":"up","store":"up"}}`},
		{"broker down", pinger{}, down, nil, false, 503, `{"status":"unready","checks":{"broker":"down","store":"up"}}`},
		{"store down", down, pinger{}, nil, false, 503, `{"status":"unready","checks":{"broker":"up","store":"down"}}`},
		{"channel up", pinger{}, pinger{}, pinger{}, false, 200, `{"status":"ready","checks":{"broker":"up","log":"up","store":"up"}}`},
		{"channel down", pinger{}, pinger{}, down, false, 503, `{"status":"unready","checks":{"broker":"up","log":"down","store":"up"}}`},
		{"stopping", pinger{}, pinger{}, nil, true, 503, `{"status":"stopping","checks":{"broker":"up","store":"up"}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			control := must(notification.NewControl(storeOf(new(memory.Store)), []notification.ChannelInfo{{Name: "log", Pinger: tt.channel}}, discard))
			h := must(notification.NewHandler(control, tt.store, tt.broker, discard))
			if tt.stopped {
				h.Stop()
			}
			if status, body := call(h, "GET", "/readyz", ""); status != tt.status || body != tt.want {
				t.Errorf("got %d %s, want %d %s", status, body, tt.status, tt.want)
			}
			if status, _ := call(h, "GET", "/livez", ""); status != 200 {
				t.Errorf("/livez answers %d", status)
			}
		})
	}
}
