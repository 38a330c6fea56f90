// Package console serves the operators' page: what happens now, what became of an order,
// and what waits for a person.
//
// [Console] watches the services and serves the page with its JSON. A program gives it the
// parts that it shows, and runs both:
//
//	console, err := console.New(parts, log)
//	go http.ListenAndServe("localhost:9081", console)
//	err = console.Run(ctx)
package console

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/account"
	"example.com/orderflow/services/deadletters"
	"example.com/orderflow/services/internal/httpapi"
	"example.com/orderflow/services/internal/wiring"
	"example.com/orderflow/services/notification"
)

// Parts are what a console shows. Those without a comment are required.
type Parts struct {
	Program string // its name, such as "orderflow"
	Version string

	Office  *account.Office
	Control *notification.Control
	Letters *deadletters.Service

	// Orders are the orders; nil: nobody here knows them.
	Orders account.OrderStore

	// Place places the order in the request's body, as POST /order does; nil: this program
	// takes no orders.
	Place func(w http.ResponseWriter, r *http.Request) error

	// Store, Broker and Progress say whether each works; nil: not known.
	Store, Broker, Progress ports.Pinger
}

// Console is the HTTP interface of the operators' page. The public must not reach it:
//
//	GET  /                      the page
//	GET  /console/{name}        its files
//	GET  /console/events        what happens, as server-sent events; at most [MaxStreams] at once
//	GET  /console/overview      the same once
//	GET  /console/search?q=     orders by their id, an event's id, or a user's id
//	GET  /console/orders/{id}   an order's way
//	POST /console/orders        places an order, if this program takes orders
//
// However many pages are open, the services are asked once. Run has to run: without it no
// events come. Errors are application/problem+json (RFC 9457).
type Console struct {
	httpapi.API // RequestTimeout and ServeHTTP

	parts   Parts
	log     *slog.Logger
	feed    *feed
	streams chan struct{} // has one for each stream
	sampler sampler
}

// MaxStreams is how many streams of events a console serves at once. When pages are loaded
// again, their former streams may last a moment longer.
const MaxStreams = 128

// New returns an error when a required part is missing. If log is nil, the console uses
// slog.Default().
func New(parts Parts, log *slog.Logger) (*Console, error) {
	if err := wiring.Check("console", wiring.Part{Name: "an office", Given: parts.Office},
		wiring.Part{Name: "a control", Given: parts.Control}, wiring.Part{Name: "a service of dead letters", Given: parts.Letters},
	); err != nil {
		return nil, err
	}
	c := &Console{parts: parts, log: wiring.Logger(log), feed: newFeed(), streams: make(chan struct{}, MaxStreams)}
	c.sampler = sampler{parts: parts, feed: c.feed, channels: []notification.ChannelView{}}
	c.API = httpapi.NewOperatorAPI(httpapi.Routes{
		"/{$}":                 {http.MethodGet: c.page},
		"/console/{name}":      {http.MethodGet: c.file},
		"/console/events":      {http.MethodGet: c.events},
		"/console/overview":    {http.MethodGet: c.overview},
		"/console/search":      {http.MethodGet: c.search},
		"/console/orders":      {http.MethodPost: c.place},
		"/console/orders/{id}": {http.MethodGet: c.order},
	}, log)
	return c, nil
}

// Run watches the services until ctx ends, and returns nil.
func (c *Console) Run(ctx context.Context) error {
	c.sampler.run(ctx)
	return nil
}

const (
	// maxStream is how long a stream lasts. Then the page connects again, and misses nothing.
	// The guard checks each connection, so nobody watches longer than that after a session.
	maxStream = 10 * time.Minute

	beatPause = 15 * time.Second // between comments, which show that the connection works
)

func (c *Console) events(w http.ResponseWriter, r *http.Request) error {
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		return nil
	}
	select {
	case c.streams <- struct{}{}:
		defer func() { <-c.streams }()
	default:
		return httpapi.Overloaded(fmt.Sprintf("too many pages are open; this address serves %d streams of events", MaxStreams))
	}
	defer c.feed.join()()
	stream, ctx, cancel := httpapi.BeginEvents(w, r)
	defer cancel()
	ctx, end := context.WithTimeout(ctx, maxStream)
	defer end()
	beat := time.NewTicker(beatPause)
	defer beat.Stop()
	at := c.feed.resume(r.Header.Get("Last-Event-ID"))
	text := []byte("retry: 500\n\n")
	for {
		if text != nil {
			if stream.Send(text) != nil {
				return nil // the page has gone, or connects again
			}
		}
		var changed <-chan struct{}
		if text, at, changed = c.feed.next(at); text != nil {
			continue
		}
		select {
		case <-changed:
		case <-beat.C:
			text = []byte(":\n\n")
		case <-ctx.Done():
			return nil
		}
	}
}

func (c *Console) overview(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := httpapi.Begin(r, c.RequestTimeout)
	defer cancel()
	defer c.feed.join()()
	snapshot := c.feed.snapshot(ctx)
	if snapshot == nil {
		return httpapi.Unavailable("nothing has been seen yet", nil)
	}
	return httpapi.WriteJSON(w, http.StatusOK, snapshot)
}

func (c *Console) place(w http.ResponseWriter, r *http.Request) error {
	if c.parts.Place == nil {
		return &httpapi.Problem{Status: http.StatusNotFound, Code: "not_found", Detail: "this program takes no orders; the order service does"}
	}
	return c.parts.Place(w, r)
}
