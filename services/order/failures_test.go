package order_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/mock/gomock"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/mocks"
)

// Answers to the store's failures hide their details.
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
			orders.EXPECT().Add(gomock.Any(), gomock.Any(), gomock.Any()).Return(tt.err).Times(2)
			orders.EXPECT().Get(gomock.Any(), gomock.Any()).Return(domain.Order{}, tt.err)
			orders.EXPECT().List(gomock.Any(), gomock.Any()).Return(ports.OrderPage{}, tt.err)
			var lines bytes.Buffer
			h := newLoggingAPI(orders, new(memory.Orders), slog.New(slog.NewJSONHandler(&lines, nil)))
			for _, request := range []struct{ method, target, contentType, body string }{
				{"POST", "/order", "application/json", laptop},
				{"POST", "/orders", "application/json", laptop},
				{"GET", "/orders/0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234", "", ""},
				{"GET", "/orders", "", ""},
			} {
				lines.Reset()
				response := send(h, request.method, request.target, request.contentType, request.body)
				body := bodyOf(t, response)
				if !strings.Contains(lines.String(), "request failed") || !strings.Contains(lines.String(), secret) {
					t.Errorf("the log does not say why: %s", lines.String())
				}
				if response.StatusCode != tt.status {
					t.Errorf("got %s, want %d", response.Status, tt.status)
				}
				if strings.Contains(body, secret) {
					t.Errorf("the answer shows details of the store: %s", body)
				}
				mayBeStored := strings.Contains(body, "the order may be stored or not")
				if response.StatusCode == http.StatusServiceUnavailable && mayBeStored != (request.method == http.MethodPost) {
					t.Errorf("%s: got %s", request.method, body)
				}
				if got := response.Header.Get("Retry-After") != ""; got != (tt.status == http.StatusServiceUnavailable) {
					t.Errorf("Retry-After given: %v", got)
				}
			}
		})
	}
}

// A request fails after RequestTimeout if the store hangs.
func TestStoreHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		orders := mocks.NewMockOrderRepository(gomock.NewController(t))
		orders.EXPECT().Add(gomock.Any(), gomock.Any(), gomock.Any()).DoAndReturn(func(ctx context.Context, _ domain.Order, _ domain.Origin) error {
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

// Beyond MaxInFlight the handler refuses orders at once, and still answers accepted
// ones.
func TestMaxInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 3
		full := make(chan struct{})
		orders := mocks.NewMockOrderRepository(gomock.NewController(t))
		orders.EXPECT().Add(gomock.Any(), gomock.Any(), gomock.Any()).DoAndReturn(func(context.Context, domain.Order, domain.Origin) error {
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

// A list skips unreadable orders. A request for one of them gets its fault.
func TestUnreadableOrder(t *testing.T) {
	const id = "0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234"
	unreadable := fmt.Errorf("get order: secret-host: %w", &ports.UnreadableError{ID: id, Field: "quantity", Reason: "must be a whole number"})
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	orders := mocks.NewMockOrderRepository(gomock.NewController(t))
	orders.EXPECT().Get(gomock.Any(), gomock.Any()).Return(domain.Order{}, unreadable).Times(2)
	orders.EXPECT().Add(gomock.Any(), gomock.Any(), gomock.Any()).Return(ports.ErrExists)
	orders.EXPECT().List(gomock.Any(), gomock.Any()).Return(ports.OrderPage{Unreadable: 3}, nil)
	h := newLoggingAPI(orders, new(memory.Orders), log)

	for _, response := range []*http.Response{
		send(h, "GET", "/orders/"+id, "", ""),
		sendWithKey(h, laptop, "k"),
	} {
		const want = `"detail":"the order is stored, but can't be read: quantity must be a whole number"`
		body := bodyOf(t, response)
		if response.StatusCode != 500 || !strings.Contains(body, `"code":"unreadable","errors":[{"field":"quantity","detail":"must be a whole number"}]`) || !strings.Contains(body, want) || strings.Contains(body, "secret") {
			t.Errorf("answered %s %s", response.Status, body)
		}
	}
	if n := strings.Count(out.String(), "order_id="+id); n != 2 {
		t.Errorf("logged %d times: %s", n, out.String())
	}
	if response := send(h, "GET", "/orders", "", ""); response.StatusCode != 200 || response.Header.Get("Unreadable-Records") != "3" {
		t.Errorf("the list: %s, %v", response.Status, response.Header)
	}
}
