package httpapi

import (
	"context"
	"net/http"
	"time"
)

// eventTimeout bounds how long a client may take to receive an event. A browser that is
// too slow connects again.
const eventTimeout = 10 * time.Second

// Events is an answer of server-sent events, which lasts until its handler returns.
type Events struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// BeginEvents begins the answer. The context ends when the client closes the connection,
// or with the server.
func BeginEvents(w http.ResponseWriter, r *http.Request) (*Events, context.Context, context.CancelFunc) {
	ctx, cancel := ofClient(r.Context())
	e := &Events{w, http.NewResponseController(w)}
	// The server's bounds are for answers that end. Both calls fail on servers without bounds.
	_ = e.control.SetReadDeadline(time.Time{})
	_ = e.control.SetWriteDeadline(time.Now().Add(eventTimeout))
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	return e, ctx, cancel
}

// Send sends the text of events. An error is returned when the client does not receive it.
func (e *Events) Send(text []byte) error {
	_ = e.control.SetWriteDeadline(time.Now().Add(eventTimeout))
	if _, err := e.w.Write(text); err != nil {
		return err
	}
	return e.control.Flush()
}
