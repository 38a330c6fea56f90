package httpapi

import (
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

	"example.com/orderflow/services/internal/requestid"
)

const requestIDHeader = "X-Request-ID"

// exchanges returns a handler that makes each request an exchange: it has an id
// and the context that contextOf makes of its own, keeps to the memory budget,
// and is answered with 500 if the handler panics.
func exchanges(health *Health, log *slog.Logger, contextOf func(context.Context) context.Context, handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := w.(*exchange); ok { // this handler is inside another one of ours
			handler.ServeHTTP(w, r.WithContext(contextOf(r.Context())))
			return
		}
		id := requestID(r)
		w.Header().Set(requestIDHeader, id)
		r = r.WithContext(requestid.NewContext(contextOf(r.Context()), id))
		e := &exchange{ResponseWriter: w, health: health}
		if r.ContentLength != 0 && r.Header.Get("Expect") == "" { // with Expect, the body comes only if it is read
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

// requestID returns the client's id if it is short visible ASCII, otherwise a
// new one.
func requestID(r *http.Request) string {
	const longest = 128
	id := r.Header.Get(requestIDHeader)
	invalid := func(c rune) bool { return c <= ' ' || c > '~' }
	if id == "" || len(id) > longest || strings.ContainsFunc(id, invalid) {
		return uuid.NewString()
	}
	return id
}

// headerSize returns about how many bytes the request's header takes.
func headerSize(r *http.Request) int {
	const each = 64 // name or value
	n := len(r.Method) + len(r.RequestURI)
	for name, values := range r.Header {
		n += each + len(name)
		for _, value := range values {
			n += each + len(value)
		}
	}
	return n
}

// isForeign reports whether the path can't be one of ours and would get an
// answer in plain text from net/http, or a redirect that repeats a long path.
func isForeign(p string) bool {
	const longest = 1 << 10 // more than any of ours has
	return !strings.HasPrefix(p, "/") || len(p) > longest && path.Clean(p) != strings.TrimSuffix(p, "/")
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

// exchange is a request with its answer. It reserves what they take of the memory
// budget until the answer is written.
type exchange struct {
	http.ResponseWriter
	health *Health   // may be nil
	header int       // bytes reserved for the request's header
	held   int       // bytes reserved for the body or the answer
	unread io.Reader // the request's body, until it is read
}

// Unwrap is for [http.ResponseController].
func (e *exchange) Unwrap() http.ResponseWriter { return e.ResponseWriter }

// WriteHeader begins the answer, and closes the connection after it in two cases:
// the service is stopping, so clients have to go elsewhere before the listener
// closes; or the request's body has not arrived.
func (e *exchange) WriteHeader(status int) {
	if !e.discard() || e.health.isStopping() {
		e.Header().Set("Connection", "close")
	}
	e.ResponseWriter.WriteHeader(status)
}

// discard reads the body unless the handler has, and reports whether all of it
// is read. A client may read no answer before it has sent everything, and TCP
// resets a connection that is closed with unread data. A client that sends slowly
// delays its answer only briefly.
func (e *exchange) discard() bool {
	const patience = 100 * time.Millisecond
	body := e.takeBody()
	if body == nil {
		return true
	}
	_ = http.NewResponseController(e.ResponseWriter).SetReadDeadline(time.Now().Add(patience))
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

// resize makes the exchange hold n bytes, more or less than before; take reserves
// more. It reports false and changes nothing if take fails.
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

// hold makes the exchange behind w, if w is one, hold n bytes. It reports false
// and changes nothing if they are not free.
func hold(w http.ResponseWriter, n int) bool {
	e, ok := w.(*exchange)
	return !ok || e.resize(n, memory.take)
}

func outOfMemory() *Problem {
	return Overloaded("too many large requests and answers are being processed; this one was not carried out")
}
