// Package httpapi is what the services' HTTP interfaces have in common: routes
// by method, problems as answers, health, and a server with limits.
package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/google/uuid"

	"example.com/orderflow/services/internal/requestid"
	"example.com/orderflow/services/internal/wiring"
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

// NewHandler returns the handler of the routes, and of /livez and /readyz if
// there is a health. Its answers, those for unknown paths, wrong methods and
// panics included, are JSON and carry a request id: the client's X-Request-ID if
// it is sound, a new one otherwise. So does each line that is logged with the
// request's context. Only what net/http answers before it asks for a handler
// and the redirect to the clean form of a path are different.
//
// The request's context does not end when its client closes the connection or
// its sending side: what was read is carried out. It ends with the [Server];
// handlers bound their work with [Begin].
func NewHandler(routes Routes, health *Health, log *slog.Logger) http.Handler {
	log = wiring.Logger(log)
	mux := http.NewServeMux()
	mux.Handle("/", answer(log, notFound))
	for path, methods := range routes {
		mux.Handle(path, answer(log, methods.serve))
	}
	if health != nil {
		mux.Handle(livePath, answer(log, Methods{http.MethodGet: health.Live}.serve))
		mux.Handle(readyPath, answer(log, Methods{http.MethodGet: health.Ready}.serve))
	}
	return exchanges(health, log, detached, mux)
}

func notFound(http.ResponseWriter, *http.Request) error {
	return &Problem{Status: http.StatusNotFound, Code: "not_found", Detail: "there is nothing at this path"}
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
		Detail: fmt.Sprintf("this path does not take %s, but %s", shown(r.Method), allow),
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

// exchanges returns a handler that gives each request its id and the context that
// contextOf makes of its own, has it answered within the memory budget, and
// answers 500 if the handler panics.
func exchanges(health *Health, log *slog.Logger, contextOf func(context.Context) context.Context, handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := w.(*exchange); ok { // a handler within another's
			handler.ServeHTTP(w, r.WithContext(contextOf(r.Context())))
			return
		}
		id := requestID(r)
		w.Header().Set(requestIDHeader, id)
		r = r.WithContext(requestid.NewContext(contextOf(r.Context()), id))
		e := &exchange{ResponseWriter: w, health: health}
		if r.ContentLength != 0 && r.Header.Get("Expect") == "" { // or it comes only if it is read
			e.unread = r.Body
		}
		defer e.end()
		defer func() {
			if p := recover(); p != nil {
				if p == http.ErrAbortHandler {
					panic(p)
				}
				log.ErrorContext(r.Context(), "handler panicked", "method", shown(r.Method), "path", cut(r.URL.Path, longestText),
					"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
				internal().Write(e, r)
			}
		}()
		if len(r.Method)+len(r.RequestURI) > small { // net/http would keep both as long as the connection
			w.Header().Set("Connection", "close")
		}
		if n := headerSize(r); n > small {
			if !memory.take(n) {
				outOfMemory().Write(e, r)
				return
			}
			e.header = n
		}
		if isForeign(r.URL.Path) {
			answer(log, notFound).ServeHTTP(e, r)
			return
		}
		if clean := cleanURL(r.URL); clean != "" && r.Method != http.MethodConnect {
			http.Redirect(e, r, clean, http.StatusTemporaryRedirect)
			return
		}
		handler.ServeHTTP(e, r)
	})
}

// isForeign reports whether the path can't be one of ours and is none for
// net/http, which would answer in text, or has a clean form that a redirect would
// repeat.
func isForeign(p string) bool {
	const longest = 1 << 10 // more than any of ours has
	return !strings.HasPrefix(p, "/") || len(p) > longest && path.Clean(p) != strings.TrimSuffix(p, "/")
}

// cleanURL returns the URL with a clean path, or "" if it has one. A ServeMux
// would escape the path again.
func cleanURL(u *url.URL) string {
	escaped := u.EscapedPath()
	clean := path.Clean(escaped)
	if strings.HasSuffix(escaped, "/") && clean != "/" {
		clean += "/"
	}
	switch {
	case clean == escaped:
		return ""
	case u.RawQuery != "":
		return clean + "?" + u.RawQuery
	}
	return clean
}

// answer returns a handler that answers with the error of handle, if there is
// one.
func answer(log *slog.Logger, handle HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := handle(w, r)
		var problem *Problem
		switch {
		case err == nil:
		case errors.As(err, &problem):
			problem.Write(w, r)
		default:
			log.ErrorContext(r.Context(), "request failed", "method", shown(r.Method), "path", cut(r.URL.Path, longestText), "error", err)
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
