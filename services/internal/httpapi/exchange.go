package httpapi

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"

	"example.com/orderflow/services/internal/mask"
	"example.com/orderflow/services/internal/requestid"
)

const requestIDHeader = "X-Request-ID"

// withExchange returns a handler that calls handler with each request as an
// [exchange]. It gives the request an id and the context that contextOf derives,
// keeps to the memory budget, and answers 500 if handler panics. At level debug it
// logs each request.
//
// No cache may store an answer: it may have personal data, or change at any time. A
// handler of something public replaces Cache-Control.
func withExchange(health *Health, log *slog.Logger, o *observer, contextOf func(context.Context) context.Context, handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if e, ok := w.(*exchange); ok { // another withExchange called this one
			r = r.WithContext(contextOf(r.Context()))
			handler.ServeHTTP(w, r)
			e.route = r.Pattern
			return
		}
		id := requestID(r)
		h := w.Header()
		h.Set(requestIDHeader, id)
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		ctx, observed := o.observe(requestid.NewContext(contextOf(r.Context()), id), r)
		r = r.WithContext(ctx)
		e := &exchange{ResponseWriter: w, health: health, head: r.Method == http.MethodHead}
		defer observed.done(e, r)
		if log.Enabled(r.Context(), slog.LevelDebug) {
			defer e.log(r, log, time.Now())
		}
		if r.ContentLength != 0 && r.Header.Get("Expect") == "" { // with Expect, the body comes only if it is read
			e.unread = r.Body
		}
		defer e.end()
		defer func() {
			if p := recover(); p != nil {
				if p == http.ErrAbortHandler {
					panic(p)
				}
				log.ErrorContext(r.Context(), "handler panicked", "method", shown(r.Method), "path", mask.Text(cut(r.URL.Path, maxText)),
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

// requestID returns the client's id if it gives one of 1 to 128 safe characters,
// otherwise a new one. Safe characters are those of UUIDs, ULIDs, base64 and the usual
// tracing headers. None of them has a meaning in HTML, a shell or a log.
func requestID(r *http.Request) string {
	const limit = 128
	given := r.Header.Values(requestIDHeader)
	if len(given) != 1 || given[0] == "" || len(given[0]) > limit || strings.ContainsFunc(given[0], isUnsafe) {
		return uuid.NewString()
	}
	return given[0]
}

func isUnsafe(c rune) bool {
	isLetter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
	return !isLetter && !('0' <= c && c <= '9') && !strings.ContainsRune("-._~:/+=@", c)
}

// headerSize returns about how many bytes the request's header takes.
func headerSize(r *http.Request) int {
	const each = 64 // of a name or value, beside its text
	n := len(r.Method) + len(r.RequestURI)
	for name, values := range r.Header {
		n += each + len(name)
		for _, value := range values {
			n += each + len(value)
		}
	}
	return n
}

// isForeign reports whether no route can have the path. net/http would answer it
// in plain text, or with a redirect that repeats a long path.
func isForeign(p string) bool {
	const limit = 1 << 10 // bytes; no route has as many
	return !strings.HasPrefix(p, "/") || len(p) > limit && path.Clean(p) != strings.TrimSuffix(p, "/")
}

// cleanURL returns the URL with a clean path, or "" if its path is clean. Unlike
// a ServeMux, it does not escape the path a second time.
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

// exchange is a request with its answer. Until the answer is written, it holds the
// memory that both have reserved.
type exchange struct {
	http.ResponseWriter
	health *Health   // may be nil
	header int       // bytes reserved for the request's header
	held   int       // bytes reserved for the body or the answer
	route  string    // pattern of the innermost handler; empty: the request's own
	unread io.Reader // the request's body, until it is read
	head   bool      // the answer has no body
	status int       // of the answer; 0: not begun by WriteHeader
}

// Unwrap is for [http.ResponseController].
func (e *exchange) Unwrap() http.ResponseWriter { return e.ResponseWriter }

// WriteHeader begins the answer. The answer closes the connection if the request's
// body has not arrived, or if the service is stopping: then clients should connect
// elsewhere.
func (e *exchange) WriteHeader(status int) {
	if !e.discard() || e.health.isStopping() {
		e.Header().Set("Connection", "close")
	}
	e.status = status
	e.ResponseWriter.WriteHeader(status)
}

// Write writes a part of the answer's body, or nothing if the request is a HEAD.
func (e *exchange) Write(p []byte) (int, error) {
	if e.head {
		return len(p), nil
	}
	return e.ResponseWriter.Write(p)
}

// log logs the request and how it was answered.
func (e *exchange) log(r *http.Request, log *slog.Logger, began time.Time) {
	log.DebugContext(r.Context(), "request", "method", shown(r.Method), "path", mask.Text(cut(r.URL.Path, maxText)),
		"status", cmp.Or(e.status, http.StatusOK), "took", time.Since(began).Round(time.Microsecond).String())
}

// discard reads the body unless the handler has, and reports whether the body was
// read to its end. A client may read no answer before it has sent everything, and
// TCP resets a connection that is closed with unread data. A slow client delays its
// answer by 100 ms at most.
func (e *exchange) discard() bool {
	const timeout = 100 * time.Millisecond
	body := e.takeBody()
	if body == nil {
		return true
	}
	_ = http.NewResponseController(e.ResponseWriter).SetReadDeadline(time.Now().Add(timeout))
	_, err := io.CopyN(io.Discard, body, maxBody)
	return err == io.EOF
}

// takeBody returns the body that the caller is about to read, or nil if it was
// taken before.
func (e *exchange) takeBody() io.Reader {
	body := e.unread
	e.unread = nil
	return body
}

// resize makes n bytes the exchange's reservation, with take if it grows. It
// reports false and changes nothing if take fails.
func (e *exchange) resize(n int, take func(int) bool) bool {
	if n <= small {
		n = 0
	}
	switch {
	case n > e.held && !take(n-e.held):
		return false
	case n < e.held:
		memory.release(e.held - n)
	}
	e.held = n
	return true
}

func (e *exchange) end() {
	if n := e.header + e.held; n > 0 {
		memory.release(n)
	}
}

// reserve makes n bytes the reservation of w, if w is an exchange. It reports
// false and changes nothing if they are not free.
func reserve(w http.ResponseWriter, n int) bool {
	e, ok := w.(*exchange)
	return !ok || e.resize(n, memory.take)
}

func outOfMemory() *Problem {
	return Overloaded("too many large requests and answers are being processed; this request was not carried out")
}
