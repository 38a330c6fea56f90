package httpapi

import (
	"context"
	"net/http"
	"time"
)

// exchange is a request and its answer: what the two reserve of the memory
// budget, until the answer is written.
type exchange struct {
	http.ResponseWriter
	health *Health // nil: there is none that could be stopping
	header int     // reserved for the request's header
	held   int     // reserved for what is read and written
}

// Unwrap is for [http.ResponseController].
func (e *exchange) Unwrap() http.ResponseWriter { return e.ResponseWriter }

// WriteHeader begins the answer. While the service is stopping, each answer is
// the last of its connection, so that clients go elsewhere before the listener
// is closed.
func (e *exchange) WriteHeader(status int) {
	if e.health.isStopping() {
		e.Header().Set("Connection", "close")
	}
	e.ResponseWriter.WriteHeader(status)
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
