package order_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"example.com/orderflow/adapters/memory"
)

// BenchmarkPlaceOverHTTP measures the service without any server. The figures
// include the request and the recorder of its answer.
func BenchmarkPlaceOverHTTP(b *testing.B) {
	for _, bm := range []struct{ name, key string }{{"", ""}, {"with a key", "k"}} {
		b.Run(bm.name, func(b *testing.B) {
			h := newAPI(new(memory.Orders), new(memory.Orders))
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodPost, "/order", strings.NewReader(laptop))
				r.Header.Set("Content-Type", "application/json")
				if bm.key != "" {
					r.Header.Set("Idempotency-Key", bm.key)
				}
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if w.Code != http.StatusCreated {
					b.Fatal(w.Code, w.Body)
				}
			}
		})
	}
}
