package httpapi

import (
	"context"
	"io"
	"net/http"
	"time"
)

// exchange is a request and its answer: what the two reserve of the memory
// budget, until the answer is written.
type exchange struct {
	http.ResponseWriter
	health *Health   // nil: there is none that could be stopping
	header int       // reserved for the request's header
	held   int       // reserved for what is read and written
	unread io.Reader // the body, until somebody reads it
}

// Unwrap is for [http.ResponseController].
func (e *exchange) Unwrap() http.ResponseWriter { return e.ResponseWriter }

// WriteHeader begins the answer. While the service is stopping, each answer is
// the last of its connection, so that clients go elsewhere before the listener
// is closed. So is one to a body that nobody read and that is not here.
func (e *exchange) WriteHeader(status int) {
	if !e.discard() || e.health.isStopping() {
		e.Header().Set("Connection", "close")
	}
	e.ResponseWriter.WriteHeader(status)
}

// discard reads the body if nobody has, and reports whether it is read: a client
// may read no answer before it has sent all, and a connection that ends with a
// body unread is reset. A client that is slow to send does not delay its answer
// by more than a moment.
func (e *exchange) discard() bool {
	const moment = 100 * time.Millisecond
	body := e.takeBody()
	if body == nil {
		return true
	}
	_ = http.NewResponseController(e.ResponseWriter).SetReadDeadline(time.Now().Add(moment))
	_, err := io.CopyN(io.Discard, body, maxBody)
	return err == io.EOF
}

func (e *exchange) takeBody() io.Reader {
	body := e.unread
	e.unread = nil
	return body
}

// hold has the exchange hold n bytes, more or less than before. It reports
// false, and changes nothing, if they are not free.
func (e *exchange) hold(n int) bool {
	return e.become(n, memory.take)
}

func (e *exchange) become(n int, take func(int) bool) bool {
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

// hold is [exchange.hold] of the exchange that w answers, if it is one.
func hold(w http.ResponseWriter, n int) bool {
	e, ok := w.(*exchange)
	return !ok || e.hold(n)
}

// patience is how long a request may wait for memory.
const patience = time.Second

// Reserve reserves memory for an answer before it is made, and waits for it a
// while: for what may be large, such as a page, or must not be refused once the
// work is done. The answer's own size takes its place when it is written.
func Reserve(ctx context.Context, w http.ResponseWriter, bytes int) error {
	e, ok := w.(*exchange)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if !e.become(bytes, func(n int) bool { return memory.wait(ctx, n) }) {
		return outOfMemory()
	}
	return nil
}

func outOfMemory() *Problem {
	return Overloaded("too many large requests and answers are under way; this one was not carried out")
}

// headerSize is about what the request's header takes.
func headerSize(r *http.Request) int {
	const each = 64 // field
	n := len(r.Method) + len(r.RequestURI)
	for name, values := range r.Header {
		n += each + len(name)
		for _, value := range values {
			n += each + len(value)
		}
	}
	return n
}
