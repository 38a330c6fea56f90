package httpapi

import (
	"cmp"
	"context"
	"net/http"
	"time"
)

// DefaultRequestTimeout is how long a request's work may take where nothing
// else is set.
const DefaultRequestTimeout = 10 * time.Second

// Begin returns the context of the request's work, which may take that long; 0:
// DefaultRequestTimeout. It is called once the request is read: a client that
// is slow to send takes nothing of the time.
func Begin(r *http.Request, timeout time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.Context(), cmp.Or(timeout, DefaultRequestTimeout))
}

// work is the context of a request that is carried out though its client may be
// gone: it ends with the server, and has the values of the request's own.
type work struct {
	context.Context // the server's
	request         context.Context
}

// Value asks the server's context first: there the context package finds what
// it needs to make children without a goroutine for each.
func (w work) Value(key any) any {
	if value := w.Context.Value(key); value != nil {
		return value
	}
	return w.request.Value(key)
}

type serverKey struct{}

// detached returns the request's context without the end of its connection.
func detached(request context.Context) context.Context {
	server, ok := request.Value(serverKey{}).(context.Context)
	if !ok { // of another's server, which says nothing of its end
		return context.WithoutCancel(request)
	}
	return work{server, request}
}

// attached returns the request's context as it is.
func attached(request context.Context) context.Context { return request }
