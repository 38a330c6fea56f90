package httpapi

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// What other processes ask every few seconds has no span.
func TestPolledPathsHaveNoSpan(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	o := new(observer)
	o.lazy.Get(trace.NewTracerProvider(trace.WithSpanProcessor(recorder)), nil)
	empty := Methods{http.MethodGet: func(http.ResponseWriter, *http.Request) error { return nil }}
	h := newHandler(Routes{"/orders": empty, "/account": empty}, new(Health), nil, o)
	for _, path := range []string{"/livez", "/readyz", "/account", "/orders", "/nowhere"} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil))
	}
	var names []string
	for _, span := range recorder.Ended() {
		names = append(names, span.Name())
	}
	if diff := cmp.Diff([]string{"GET /orders", "GET"}, names); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
}
