// Package httpapi is what the services' HTTP interfaces have in common: routes
// by method, problems as answers, health, and a server with limits.
package httpapi

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/google/uuid"
)

const requestIDHeader = "X-Request-ID"

// HandlerFunc answers a request, or returns why it did not: a [*Problem] is
// the answer then, any other error is logged and answered with 500.
type HandlerFunc func(w http.ResponseWriter, r *http.Request) error

// Methods are a path's handlers by method; GET serves HEAD too.
type Methods map[string]HandlerFunc

// Routes are the methods of each path, a pattern of [http.ServeMux] without a
// method.
type Routes map[string]Methods

// NewHandler returns the handler of the routes. Its answers, those for unknown
// paths, wrong methods and panics included, are JSON and carry a request id:
// the client's X-Request-ID if it is sound, a new one otherwise. Only what
// net/http answers before it asks for a handler, such as a redirect to the
// clean form of a path, is different.
func NewHandler(routes Routes, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", answer(log, func(http.ResponseWriter, *http.Request) error {
		return &Problem{Status: http.StatusNotFound, Code: "not_found", Detail: "there is nothing at this path"}
	}))
	for path, methods := range routes {
		mux.Handle(path, answer(log, methods.serve))
	}
	return mux
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
		Detail: fmt.Sprintf("this path does not take %s, but %s", r.Method, allow),
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

func answer(log *slog.Logger, handle HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := requestID(r)
		w.Header().Set(requestIDHeader, id)
		defer func() {
			if p := recover(); p != nil {
				if p == http.ErrAbortHandler {
					panic(p)
				}
				log.Error("handler panicked", "request_id", id, "method", r.Method, "path", r.URL.Path,
					"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
				internal().Write(w, r)
			}
		}()
		err := handle(w, r)
		var problem *Problem
		switch {
		case err == nil:
		case errors.As(err, &problem):
			problem.Write(w, r)
		default:
			log.Error("request failed", "request_id", id, "method", r.Method, "path", r.URL.Path, "error", err)
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

func requestID(r *http.Request) string {
	const longest = 128
	id := r.Header.Get(requestIDHeader)
	unsound := func(c rune) bool { return c <= ' ' || c > '~' }
	if id == "" || len(id) > longest || strings.ContainsFunc(id, unsound) {
		return uuid.NewString()
	}
	return id
}
