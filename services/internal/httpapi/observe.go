package httpapi

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"example.com/orderflow/services/internal/telemetry"
)

// observer makes the spans and metrics of requests.
type observer struct{ lazy telemetry.Lazy }

// methods are the values of labels; any other method is shown as other.
var methods = map[string]string{
	http.MethodGet: http.MethodGet, http.MethodHead: http.MethodHead, http.MethodPost: http.MethodPost, http.MethodPut: http.MethodPut,
	http.MethodPatch: http.MethodPatch, http.MethodDelete: http.MethodDelete, http.MethodOptions: http.MethodOptions,
}

const other = "_OTHER"

// observe begins the span of a request with this context, and returns the context within
// it. Health checks have no span: they would hide the rest.
func (o *observer) observe(ctx context.Context, r *http.Request) (context.Context, observation) {
	t := o.lazy.Get(nil, nil)
	method := cmp.Or(methods[r.Method], other)
	ctx, end := t.Request(ctx, r.Header, method, r.URL.Path != livePath && r.URL.Path != readyPath)
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
