package order_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/services/order"
)

func TestOpenAPI(t *testing.T) {
	orders := new(memory.Orders)
	h := newAPI(orders, orders)
	if diff := cmp.Diff(h.Operations(), described.Operations()); diff != "" {
		t.Errorf("operations (-served +documented):\n%s", diff)
	}
	for path, document := range map[string][]byte{"/openapi.yaml": order.OpenAPI, "/asyncapi.yaml": order.AsyncAPI} {
		if served := send(h, "GET", path, "", ""); bodyOf(t, served) != string(document) {
			t.Errorf("%s: answered %s, which is not the document", path, served.Status)
		}
	}
	for _, e := range described.Examples() {
		if w := described.Do(h, e.Request()); w.Code >= 300 && e.Name != "getOrder" {
			t.Errorf("%s: answered %d %s", e.Name, w.Code, w.Body)
		}
	}
	described.CheckRefusals(t, h)

	limited := newAPI(orders, orders)
	limited.RateLimit = order.RateLimit{Requests: 1, Period: time.Hour}
	send(limited, "GET", "/orders", "", "")
	for _, e := range described.Examples() {
		if w := described.Do(limited, e.Request()); strings.HasPrefix(e.URL, "/order") != (w.Code == http.StatusTooManyRequests) {
			t.Errorf("%s: a client without a request left gets %d %s", e.Name, w.Code, w.Body)
		}
	}
}
