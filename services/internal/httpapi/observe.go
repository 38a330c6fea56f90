package httpapi

import (
	"cmp"
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

// observe begins the request's span and returns the request within it. Its metrics are
// recorded when observed is called. Health checks have no span: they would hide the rest.
func (o *observer) observe(e *exchange, r *http.Request) (_ *http.Request, observed func()) {
	t := o.lazy.Get(nil, nil)
	began, method := time.Now(), cmp.Or(methods[r.Method], other)
	ctx, end := t.Request(r, method, r.URL.Path != livePath && r.URL.Path != readyPath)
	requested := t.Requesting(ctx)
	r = r.WithContext(ctx)
	return r, func() {
		requested()
		status := cmp.Or(e.status, http.StatusOK)
		route := cmp.Or(e.route, r.Pattern)
		if route == "/" { // the handler of unknown paths
			route = ""
		}
		end(route, status)
		t.Requested(ctx, method, cmp.Or(route, other), string('0'+rune(status/100))+"xx", time.Since(began))
	}
}
