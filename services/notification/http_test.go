package notification_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/mock/gomock"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/notification"
)

type pinger struct{ err error }

func (p pinger) Ping(context.Context) error { return p.err }

func get(h http.Handler, target string) (status int, body string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", target, nil))
	return w.Code, strings.TrimSpace(w.Body.String())
}

func serviceOf(deliveries ports.DeliveryLog) *notification.Service {
	s, _ := newService(deliveries, discard, &channel{name: "log"})
	return s
}

func TestNotifications(t *testing.T) {
	event := newEvent(t)
	s, handle := newService(new(memory.Deliveries), discard, &channel{name: "log"})
	if err := handle(t.Context(), ports.Delivery{Event: event, Attempt: 1}); err != nil {
		t.Fatal(err)
	}
	h := must(notification.NewHandler(s, pinger{}, pinger{}, discard))
	tests := []struct {
		target string
		status int
		want   string // a regular expression
	}{
		{"?order_id=" + string(event.Order.ID), 200, `^{"data":\[{"event_id":"0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234-created","order_id":"0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234","channel":"log","attempt":1,"sent_at":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"}\]}$`},
		{"?order_id=0192f0c1-2d3e-7f4a-8b5c-6d7e8f90ffff", 200, `^{"data":\[\]}$`},
		{"?order_id=" + strings.ToUpper(string(event.Order.ID)), 200, `^{"data":\[{"event_id":"0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234-created"`},
		{"", 422, `"field":"order_id","detail":"must be an order's id`},
		{"?order_id=42", 422, `"field":"order_id","detail":"must be an order's id`},
		{"?order_id=", 422, `"field":"order_id","detail":"is empty"`},
		{"?order_id", 422, `"field":"order_id","detail":"is empty"`},
		{"?order=42", 422, `"field":"order","detail":"is not a parameter of this path; known: order_id"`},
	}
	for _, tt := range tests {
		status, body := get(h, "/notifications"+tt.target)
		if status != tt.status || !regexp.MustCompile(tt.want).MatchString(body) {
			t.Errorf("%q: got %d %s, want %d %s", tt.target, status, body, tt.status, tt.want)
		}
	}
}

// The answer skips unreadable records and counts them.
func TestUnreadableNotifications(t *testing.T) {
	log := newLog(gomock.NewController(t))
	log.EXPECT().List(gomock.Any(), gomock.Any()).Return(ports.NotificationPage{Unreadable: 2}, nil)
	h := must(notification.NewHandler(serviceOf(log), pinger{}, pinger{}, discard))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/notifications?order_id="+string(newEvent(t).Order.ID), nil))
	if w.Code != 200 || w.Header().Get("Unreadable-Records") != "2" {
		t.Errorf("answered %d, %v", w.Code, w.Header())
	}
}

// While the service stops, each answer closes its connection.
func TestAnswersWhileStopping(t *testing.T) {
	h := must(notification.NewHandler(serviceOf(new(memory.Deliveries)), pinger{}, pinger{}, discard))
	for _, stopped := range []bool{false, true} {
		if stopped {
			h.Stop()
		}
		for _, target := range []string{"/notifications", "/livez", "/readyz", "/nowhere"} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("GET", target, nil))
			if closes := w.Header().Get("Connection") == "close"; closes != stopped {
				t.Errorf("stopped %v: %s: Connection %q", stopped, target, w.Header().Get("Connection"))
			}
		}
	}
}

func TestNotificationsDeliveryLogFails(t *testing.T) {
	for err, want := range map[error]int{
		fmt.Errorf("list: secret: %w", ports.ErrUnavailable): 503,
		errors.New("list: secret: broken document"):          500,
	} {
		log := newLog(gomock.NewController(t))
		log.EXPECT().List(gomock.Any(), gomock.Any()).Return(ports.NotificationPage{}, err)
		h := must(notification.NewHandler(serviceOf(log), pinger{}, pinger{}, discard))
		status, body := get(h, "/notifications?order_id="+string(newEvent(t).Order.ID))
		if status != want || strings.Contains(body, "secret") {
			t.Errorf("%v: got %d %s, want %d", err, status, body, want)
		}
	}
}

func TestReadiness(t *testing.T) {
	down := pinger{errors.New("down")}
	tests := []struct {
		name          string
		store, broker pinger
		stopped       bool
		status        int
		want          string
	}{
		{"all up", pinger{}, pinger{}, false, 200, `{"status":"ready","checks":{"broker":"up","store":"up"}}`},
		{"broker down", pinger{}, down, false, 503, `{"status":"unready","checks":{"broker":"down","store":"up"}}`},
		{"store down", down, pinger{}, false, 503, `{"status":"unready","checks":{"broker":"up","store":"down"}}`},
		{"stopping", pinger{}, pinger{}, true, 503, `{"status":"stopping","checks":{"broker":"up","store":"up"}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := must(notification.NewHandler(serviceOf(new(memory.Deliveries)), tt.store, tt.broker, discard))
			if tt.stopped {
				h.Stop()
			}
			if status, body := get(h, "/readyz"); status != tt.status || body != tt.want {
				t.Errorf("got %d %s, want %d %s", status, body, tt.status, tt.want)
			}
			if status, _ := get(h, "/livez"); status != 200 {
				t.Errorf("/livez answers %d", status)
			}
		})
	}
}

// Readiness includes the channels that are pingers.
func TestReadinessOfAChannel(t *testing.T) {
	for _, tt := range []struct {
		err    error
		status int
		want   string
	}{
		{nil, 200, `{"status":"ready","checks":{"broker":"up","log":"up","store":"up"}}`},
		{errors.New("disk full"), 503, `{"status":"unready","checks":{"broker":"up","log":"down","store":"up"}}`},
	} {
		pinging := struct {
			ports.Channel
			ports.Pinger
		}{&channel{name: "log"}, pinger{tt.err}}
		service := must(notification.NewService(partsOf(new(memory.Deliveries), discard), notification.Route{Channel: &channel{name: "mail"}}, notification.Route{Channel: pinging}))
		h := must(notification.NewHandler(service, pinger{}, pinger{}, discard))
		if status, body := get(h, "/readyz"); status != tt.status || body != tt.want {
			t.Errorf("got %d %s, want %d %s", status, body, tt.status, tt.want)
		}
	}
}
