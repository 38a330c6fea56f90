package order_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/mock/gomock"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/mocks"
	"example.com/orderflow/services/order"
)

// newAdminAPI returns the handler for operators of a service with these parts.
func newAdminAPI(orders ports.OrderRepository, outbox ports.Outbox) *order.AdminHandler {
	relay := must(order.NewRelay(outbox, new(memory.Broker).Publisher(), discard))
	return must(order.NewAdminHandler(must(order.NewService(orders, relay, discard)), discard))
}

func askAdmin(h http.Handler, target string) (int, string) {
	w := admin.Do(h, httptest.NewRequest(http.MethodGet, target, nil))
	return w.Code, w.Body.String()
}

func TestAdmin(t *testing.T) {
	orders := new(memory.Orders)
	h := newAdminAPI(orders, orders)
	if diff := cmp.Diff(h.Operations(), admin.Operations()); diff != "" {
		t.Errorf("operations (-served +documented):\n%s", diff)
	}
	admin.CheckRefusals(t, h)
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	var placed []domain.Order
	for i := range 3 {
		o := must(domain.NewOrder(domain.OrderID(fmt.Sprintf("0192f0c1-2d3e-7f4a-8b5c-%012d", i)), "a/b", "Laptop", 1, at.Add(time.Duration(i)*time.Second)))
		if err := orders.Add(t.Context(), o, domain.Origin{}); err != nil {
			t.Fatal(err)
		}
		placed = append(placed, o)
	}
	if err := errors.Join(orders.MarkPublished(t.Context(), placed[0].Created().ID), orders.Release(t.Context(), time.Now().Add(-time.Second), placed[1].Created().ID)); err != nil {
		t.Fatal(err)
	}
	orderText := `"order":{"id":"` + string(placed[0].ID) + `","user_id":"a/b","product":"Laptop","quantity":1,"created_at":"2026-11-23T10:00:00.000Z"}`
	for _, tt := range []struct {
		target string
		status int
		want   string // in the body
	}{
		{"/trace/" + strings.ToUpper(string(placed[0].ID)), 200, orderText + `,"event_id":"` + string(placed[0].ID) + `-created","event":"published"}`},
		{"/trace/" + string(placed[1].ID), 200, `"event":"waiting"}`},
		{"/trace/" + string(placed[2].ID), 200, `"event":"waiting","claimed":{`},
		{"/trace/0192f0c1-2d3e-7f4a-8b5c-000000000009", 404, `"code":"not_found"`},
		{"/trace/x", 422, `"field":"id"`},
		{"/users/a%2Fb/orders", 200, `"has_more":false,"next_cursor":null`},
		{"/users/a%2Fb/orders?limit=2", 200, `"has_more":true,"next_cursor":"`},
		{"/users/bob/orders", 200, `{"data":[],"has_more":false,"next_cursor":null}`},
		{"/users/bob/orders?limit=101", 422, `"field":"limit"`},
		{"/users/bob/orders?cursor=x", 422, `"field":"cursor"`},
		{"/users/bob/orders?user_id=ann", 422, `"field":"user_id"`},
	} {
		if status, body := askAdmin(h, tt.target); status != tt.status || !strings.Contains(body, tt.want) {
			t.Errorf("%s: answered %d %s, want %d %s", tt.target, status, body, tt.status, tt.want)
		}
	}
}

// A holder that has a name is shown; failures of the store are those of the public API.
func TestAdminFailures(t *testing.T) {
	id := domain.OrderID("0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234")
	kept := must(domain.NewOrder(id, "ann", "Laptop", 1, time.Now()))
	for _, tt := range []struct {
		name          string
		order, outbox error
		trace, ofUser int
		holder        ports.Holder
		unreadable    int
		wantInTrace   string
	}{
		{name: "claimed", trace: 200, ofUser: 200, holder: ports.Holder{Process: "4711", Until: time.Now()}, unreadable: 1, wantInTrace: `"claimed":{"process":"4711","until":"`},
		{name: "unavailable", order: ports.ErrUnavailable, trace: 503, ofUser: 503, wantInTrace: `"code":"unavailable"`},
		{name: "unavailable outbox", outbox: ports.ErrUnavailable, trace: 503, ofUser: 200, wantInTrace: `"code":"unavailable"`},
		{name: "unreadable", order: &ports.UnreadableError{ID: string(id), Field: "quantity", Reason: "is a text"}, trace: 500, ofUser: 500, wantInTrace: `"code":"unreadable"`},
		{name: "unknown", order: errors.New("corrupt"), trace: 500, ofUser: 500, wantInTrace: `"code":"internal"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			controller := gomock.NewController(t)
			orders, outbox := mocks.NewMockOrderRepository(controller), mocks.NewMockOutbox(controller)
			outbox.EXPECT().ClaimLease().Return(memory.DefaultOutboxLease).AnyTimes()
			outbox.EXPECT().Holder(gomock.Any(), kept.Created().ID).Return(tt.holder, tt.outbox).AnyTimes()
			orders.EXPECT().Get(gomock.Any(), id).Return(kept, tt.order)
			if err := tt.order; errors.As(err, new(*ports.UnreadableError)) {
				tt.order = errors.New("corrupt") // lists skip such records
			}
			orders.EXPECT().List(gomock.Any(), ports.OrderQuery{UserID: "ann", Limit: 20}).Return(ports.OrderPage{Orders: []domain.Order{kept}, Unreadable: tt.unreadable}, tt.order)
			h := newAdminAPI(orders, outbox)
			if status, body := askAdmin(h, "/trace/"+string(id)); status != tt.trace || !strings.Contains(body, tt.wantInTrace) {
				t.Errorf("the trace: answered %d %s, want %d %s", status, body, tt.trace, tt.wantInTrace)
			}
			if status, body := askAdmin(h, "/users/ann/orders"); status != tt.ofUser {
				t.Errorf("the user's orders: answered %d %s, want %d", status, body, tt.ofUser)
			}
		})
	}
	if _, err := order.NewAdminHandler(nil, nil); err == nil {
		t.Error("no error without a service")
	}
	if _, err := order.NewAdminHandler(new(order.Service), nil); err == nil {
		t.Error("no error with a zero service")
	}
}
