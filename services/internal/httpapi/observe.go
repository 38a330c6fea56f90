package httpapi

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"example.com/orderflow/services/internal/telemetry"
)

// observer makes the spans and metrics of requests.
type observer struct{ lazy telemetry.Lazy }

// polled are the paths that other processes ask every few seconds.
var polled = []string{livePath, readyPath, "/account"}

// methods are the values of labels; any other method is shown as other.
var methods = map[string]string{
	http.MethodGet: http.MethodGet, http.MethodHead: http.MethodHead, http.MethodPost: http.MethodPost, http.MethodPut: http.MethodPut,
	http.MethodPatch: http.MethodPatch, http.MethodDelete: http.MethodDelete, http.MethodOptions: http.MethodOptions,
}

const other = "_OTHER"

// observe begins the span of a request with this context, and returns the context within
// it. What other processes ask every few seconds has no span: it would hide the rest.
func (o *observer) observe(ctx context.Context, r *http.Request) (context.Context, observation) {
	t := o.lazy.Get(nil, nil)
	method := cmp.Or(methods[r.Method], other)
	ctx, end := t.Request(ctx, r.Header, method, !slices.Contains(polled, r.URL.Path))
	t.Requesting()
	return ctx, observation{telemetry: t, method: method, began: time.Now(), end: end}
}

// observation is a request that is under way.
type observation struct {
	telemetry *telemetry.Telemetry
	method    string
	began     time.Time
	end       func(route string, status int)
}

// done ends the span and records the metrics of the request.
func (o *observation) done(e *exchange, r *http.Request) {
	status := cmp.Or(e.status, http.StatusOK)
	route := cmp.Or(e.route, r.Pattern)
	if route == "/" { // the handler of unknown paths
		route = ""
	}
	o.end(route, status)
	o.telemetry.Requested(r.Context(), o.method, cmp.Or(route, other), status, time.Since(o.began))
}
