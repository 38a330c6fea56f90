package app

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strconv"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/services/access"
	"example.com/orderflow/services/console"
	"example.com/orderflow/services/internal/httpapi"
)

// Server returns the component that answers requests on the listener.
func (c *Common) Server(name string, listener net.Listener, handler http.Handler, log *slog.Logger) Component {
	return c.serve(name, listener, httpapi.Server{Handler: handler, RequestTimeout: c.RequestTimeout}, log)
}

func (c *Common) serve(name string, listener net.Listener, server httpapi.Server, log *slog.Logger) Component {
	server.Grace, server.IdleTimeout, server.Log = c.stopTimeout(), c.IdleTimeout, log
	server.TLS = c.serverTLS()
	return Component{Name: name + " http", Run: func(ctx context.Context) error {
		log.Info("listening", "service", name, "address", listener.Addr().String())
		return server.Serve(ctx, listener)
	}}
}

const (
	maxProfileTime   = 2 * time.Minute
	adminConnections = 8
	pageConnections  = 64 // beside the streams of events: a browser has up to 5 more
)

// AdminServer returns the component that serves operators: the handlers, by patterns
// of [http.ServeMux], the log level at /log-level, what runs at /status, profiles of the process under
// /debug/pprof/, and the service's OpenAPI document, which describes all of them. It also
// returns the server's URL. The server bounds the connections.
func (c *Common) AdminServer(openAPI []byte, handlers map[string]http.Handler, connections int, log *slog.Logger) (Component, string, error) {
	listener, err := c.AdminAddr.Listen("admin-addr")
	if err != nil {
		return Component{}, "", err
	}
	if err := c.checkListener(listener); err != nil {
		_ = listener.Close()
		return Component{}, "", err
	}
	return c.serve("admin", listener, httpapi.Server{
		Handler: c.adminHandler(openAPI, handlers, c.guard, log), RequestTimeout: maxProfileTime,
		Connections: connections, Interrupt: true,
	}, log), c.URL(Address(listener.Addr().String())), nil
}

func (c *Common) adminHandler(openAPI []byte, handlers map[string]http.Handler, guard *access.Guard, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	guard.IsPublic = console.IsPage
	sessions := httpapi.NewOperatorAPI(guard.Routes(), log)
	mux.Handle(access.SessionPath, &sessions)
	for pattern, handler := range handlers {
		mux.Handle(pattern, handler)
	}
	const document = "/openapi.yaml"
	own := httpapi.NewHandler(httpapi.Routes{document: {http.MethodGet: httpapi.Description(openAPI)}}, nil, log)
	mux.Handle(document, own)
	if handlers["/"] == nil {
		mux.Handle("/", own)
	}
	mux.Handle("/log-level", c.levelHandler(log))
	mux.Handle("/status", c.statusHandler(log))
	mux.Handle("/debug/pprof/", profiles())
	mux.Handle("/metrics", httpapi.NewHandler(httpapi.Routes{"/metrics": {http.MethodGet: c.metricsHandler}}, nil, log))
	return httpapi.ForOperators(guard.Handler(mux), log)
}

// profiles returns the handler of Go's profiles. A profile ends when its client
// closes the connection, or after [maxProfileTime].
func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		if r.URL.Path != "/debug/pprof/symbol" { // its body is not a form
			_ = r.ParseMultipartForm(64 << 10) // after an error, pprof uses the fields that were parsed, too
			for _, text := range r.Form["seconds"] {
				if seconds, err := strconv.ParseFloat(text, 64); err != nil || !(seconds > 0 && seconds <= maxProfileTime.Seconds()) {
					httpapi.Invalid(domain.FieldError{
						Field: "seconds", Reason: fmt.Sprintf("must be a number above 0 and at most %.0f", maxProfileTime.Seconds()),
					}).Write(w, r)
					return
				}
			}
		}
		mux.ServeHTTP(w, r)
	})
}
