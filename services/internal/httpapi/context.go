package httpapi

import (
	"cmp"
	"context"
	"net/http"
	"time"
)

// defaultRequestTimeout is the default of [API.RequestTimeout].
const defaultRequestTimeout = 10 * time.Second

// Begin returns a context with this timeout for the request's work; 0 means 10 s.
// Handlers call it after they have read the request, so that a slow client does
// not use up the time.
func Begin(r *http.Request, timeout time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.Context(), cmp.Or(timeout, defaultRequestTimeout))
}

// detachedContext is the context of a request that is carried out even if its
// client has gone. It ends with the server, and has the values of the request's
// own context.
type detachedContext struct {
	context.Context // the server's
	request         context.Context
}

// Value asks the server's context first: there the context package finds what it
// needs to derive contexts without a goroutine for each.
func (c detachedContext) Value(key any) any {
	if value := c.Context.Value(key); value != nil {
		return value
	}
	if key == (clientKey{}) {
		return c.request
	}
	return c.request.Value(key)
}

type serverKey struct{}

// clientKey is the key of the request's own context in a detached one.
type clientKey struct{}

// detached returns the request's context without the end of its connection.
func detached(request context.Context) context.Context {
	server, ok := request.Value(serverKey{}).(context.Context)
	if !ok { // another package's server: its end is unknown
		return context.WithValue(context.WithoutCancel(request), clientKey{}, request)
	}
	return detachedContext{server, request}
}

// ofClient returns a context with the values of ctx that also ends when the client of
// its request closes the connection.
func ofClient(ctx context.Context) (context.Context, context.CancelFunc) {
	client, ok := ctx.Value(clientKey{}).(context.Context)
	ctx, cancel := context.WithCancel(ctx)
	if !ok {
		return ctx, cancel
	}
	stop := context.AfterFunc(client, cancel)
	return ctx, func() { stop(); cancel() }
}

// attached returns the request's context unchanged.
func attached(request context.Context) context.Context { return request }
