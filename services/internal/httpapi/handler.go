// Package httpapi has the common parts of the services' HTTP interfaces: routes,
// errors as problem+json, health, and a server that limits time, memory and
// connections.
package httpapi

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/mask"
	"example.com/orderflow/services/internal/wiring"
)

// API is the common part of the services' HTTP handlers, which embed it.
type API struct {
	// RequestTimeout bounds the work for a request after it was read; 0 means 10 s.
	// Set it before first use.
	RequestTimeout time.Duration

	// TracerProvider and MeterProvider are for spans and metrics of requests; nil means
	// OpenTelemetry's global ones. Set them before first use.
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider

	handler  http.Handler
	health   *Health
	routes   Routes
	observer *observer
}

// NewAPI returns the API of the routes; see [NewHandler].
func NewAPI(routes Routes, health *Health, log *slog.Logger) API {
	o := new(observer)
	return API{handler: newHandler(routes, health, log, o), health: health, routes: routes, observer: o}
}

// NewOperatorAPI returns an API that [ForOperators] protects, without health checks.
func NewOperatorAPI(routes Routes, log *slog.Logger) API {
	o := new(observer)
	return API{handler: forOperators(newHandler(routes, nil, log, o), log, o), routes: routes, observer: o}
}

// ServeHTTP answers a request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.observer.lazy.Get(a.TracerProvider, a.MeterProvider)
	a.handler.ServeHTTP(w, r)
}

// Operations returns what the API can do, as patterns of [http.ServeMux] with a method,
// sorted. HEAD, which each GET serves, is not among them.
func (a *API) Operations() []string {
	var operations []string
	for path, methods := range a.routes {
		for method := range methods {
			operations = append(operations, method+" "+path)
		}
	}
	if a.health != nil {
		operations = append(operations, http.MethodGet+" "+livePath, http.MethodGet+" "+readyPath)
	}
	slices.Sort(operations)
	return operations
}

// WatchProgress makes /readyz report the check progress. While the pinger returns an error,
// the status is degraded, with 200. Call it before first use.
func (a *API) WatchProgress(progress ports.Pinger) {
	a.Watch(Check{Name: "progress", Pinger: progress, Optional: true, Degrades: true})
}

// Watch makes /readyz report one more check. Call it before first use.
func (a *API) Watch(check Check) {
	if a.health != nil {
		a.health.checks = append(a.health.checks, check)
	}
}

// Stop is the first step of a shutdown: from now on /readyz answers 503, and
// each answer is the last of its connection. Everything else is answered as
// before. Stop does nothing for an API without health.
func (a *API) Stop() {
	if a.health != nil {
		a.health.stopping.Store(true)
	}
}

// HandlerFunc answers a request or returns an error: a [*Problem] is sent as
// the answer; any other error is logged and answered with 500.
type HandlerFunc func(w http.ResponseWriter, r *http.Request) error

// Methods are a path's handlers by method; GET serves HEAD too.
type Methods map[string]HandlerFunc

// Routes are the methods of each path, which is a pattern of [http.ServeMux]
// without a method.
type Routes map[string]Methods

// NewHandler returns the handler of the routes and, unless health is nil, of
// /livez and /readyz.
//
// It answers unknown paths, wrong methods and panics with a [Problem], too. It
// redirects a path that is not clean to its clean form. Each answer, and each line
// logged with the request's context, has a request id. That is the client's
// X-Request-ID if it is 1 to 128 letters, digits and -._~:/+=@, otherwise a new id.
//
// It logs each problem: those of the service (status 5xx) at level warn, refusals at
// level info. Every request is logged at level debug.
//
// The request's context lasts even if the client closes the connection or its
// sending side: a request that was read is carried out. The context ends with the
// [Server]; handlers bound their work with [Begin].
func NewHandler(routes Routes, health *Health, log *slog.Logger) http.Handler {
	return newHandler(routes, health, log, new(observer))
}

func newHandler(routes Routes, health *Health, log *slog.Logger, o *observer) http.Handler {
	log = wiring.Logger(log)
	mux := http.NewServeMux()
	mux.Handle("/", answer(log, notFound))
	for path, methods := range routes {
		mux.Handle(path, answer(log, methods.serve))
	}
	for path, methods := range health.routes() {
		mux.Handle(path, answer(log, methods.serve))
	}
	return withExchange(health, log, o, detached, mux)
}

// answer returns a handler that calls handle and answers with its error, if any.
func answer(log *slog.Logger, handle HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := handle(w, r)
		var problem *Problem
		switch {
		case err == nil:
		case errors.As(err, &problem):
			problem.log(r, log)
			problem.Write(w, r)
		default:
			log.ErrorContext(r.Context(), "request failed", "method", shown(r.Method), "path", mask.Text(cut(r.URL.Path, maxText)), "error", mask.Error(err))
			internal().Write(w, r)
		}
	})
}

func internal() *Problem {
	return &Problem{
		Status: http.StatusInternalServerError, Code: "internal",
		Detail: "the service failed; its log says more under this request_id",
	}
}

// NoPath is the detail of the answer to a request for a path that does not exist.
const NoPath = "this path does not exist"

func notFound(http.ResponseWriter, *http.Request) error {
	return &Problem{Status: http.StatusNotFound, Code: "not_found", Detail: NoPath}
}

func (m Methods) serve(w http.ResponseWriter, r *http.Request) error {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if handle, ok := m[method]; ok {
		return handle(w, r)
	}
	allow := m.allow()
	w.Header().Set("Allow", allow)
	return &Problem{
		Status: http.StatusMethodNotAllowed, Code: "method_not_allowed",
		Detail: fmt.Sprintf("this path does not support %s; use %s", shown(r.Method), allow),
	}
}

func (m Methods) allow() string {
	var methods []string
	for method := range m {
		methods = append(methods, method)
		if method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
	}
	slices.Sort(methods)
	return strings.Join(methods, ", ")
}
