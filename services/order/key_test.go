package order_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"example.com/orderflow/adapters/memory"
)

func sendWithKey(h http.Handler, body string, keys ...string) *http.Response {
	r := httptest.NewRequest("POST", "/order", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for _, key := range keys {
		r.Header.Add("Idempotency-Key", key)
	}
	return described.Do(h, r).Result()
}

func TestIdempotencyKeyForms(t *testing.T) {
	tests := []struct {
		name string
		keys []string
		same string // another form of the same key; empty if the key is refused
		want string // why it is refused
	}{
		{"bare", []string{"a-1"}, `"a-1"`, ""},
		{"quoted", []string{`"a 1"`}, "a 1", ""},
		{"escapes", []string{`"a\"\\b"`}, `a"\b`, ""},
		{"longest", []string{strings.Repeat("x", 255)}, `"` + strings.Repeat("x", 255) + `"`, ""},
		{"too long", []string{strings.Repeat("x", 256)}, "", "must have at most 255 characters"},
		{"too long, quoted", []string{`"` + strings.Repeat("x", 256) + `"`}, "", "must have at most 255 characters"},
		{"empty", []string{""}, "", "is empty"},
		{"empty string", []string{`""`}, "", "is empty"},
		{"open", []string{`"a`}, "", "must end its quoted string"},
		{"quote alone", []string{`"`}, "", "must end its quoted string"},
		{"quote inside", []string{`"a"b"`}, "", "must end its quoted string"},
		{"unknown escape", []string{`"a\n"`}, "", "must end its quoted string"},
		{"escaped end", []string{`"a\"`}, "", "must end its quoted string"},
		{"control character", []string{"a\tb"}, "", "visible ASCII"},
		{"beyond ASCII", []string{"é"}, "", "visible ASCII"},
		{"twice", []string{"a", "a"}, "", "is given more than once"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			orders := new(memory.Orders)
			h := newAPI(orders, orders)
			response := sendWithKey(h, laptop, tt.keys...)
			if tt.same == "" {
				body := bodyOf(t, response)
				if response.StatusCode != http.StatusBadRequest || !strings.Contains(body, tt.want) || !strings.Contains(body, `"field":"Idempotency-Key"`) {
					t.Errorf("got %s %s, want 400 with %q", response.Status, body, tt.want)
				}
				return
			}
			var first, again orderJSON
			decode(t, response, http.StatusCreated, &first)
			second := sendWithKey(h, laptop, tt.same)
			decode(t, second, http.StatusCreated, &again)
			if first != again || response.Header.Get("Idempotency-Replayed") != "" || second.Header.Get("Idempotency-Replayed") != "true" {
				t.Errorf("first %+v, %v; again %+v, %v", first, response.Header, again, second.Header)
			}
			if second.Header.Get("Location") != "/orders/"+first.ID {
				t.Errorf("Location %q", second.Header.Get("Location"))
			}
		})
	}
}

func TestIdempotencyKeyScope(t *testing.T) {
	orders := new(memory.Orders)
	h := newAPI(orders, orders)
	var first, other orderJSON
	decode(t, sendWithKey(h, laptop, "k"), http.StatusCreated, &first)
	for _, body := range []string{
		`{"user_id":"123","product":"Phone","quantity":1}`,
		`{"user_id":"123","product":"Laptop","quantity":2}`,
	} {
		response := sendWithKey(h, body, "k")
		if text := bodyOf(t, response); response.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(text, "idempotency_key_reused") {
			t.Errorf("%s: got %s %s, want 422", body, response.Status, text)
		}
	}
	response := sendWithKey(h, `{"quantity":1,"product":"Laptop","user_id":"456"}`, "k")
	decode(t, response, http.StatusCreated, &other)
	if other.ID == first.ID || response.Header.Get("Idempotency-Replayed") != "" {
		t.Error("two users with the same key share an order")
	}
	if n := len(list(t, h, "/orders").Data); n != 2 {
		t.Errorf("%d orders are stored, want 2", n)
	}
}

func TestIdempotencyKeyAtOnce(t *testing.T) {
	orders := new(memory.Orders)
	h := newAPI(orders, orders)
	const clients = 100
	answers := make([]string, clients)
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			r := sendWithKey(h, laptop, "k")
			answers[i] = fmt.Sprint(r.StatusCode, bodyOf(t, r))
		})
	}
	wg.Wait()
	for _, a := range answers {
		if a != answers[0] {
			t.Fatalf("answers differ: %s and %s", a, answers[0])
		}
	}
	if n := len(list(t, h, "/orders").Data); n != 1 {
		t.Errorf("%d orders are stored, want 1", n)
	}
}
