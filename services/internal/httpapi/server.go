package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"example.com/orderflow/services/internal/wiring"
)

const (
	// HeaderTimeout is how long a client may take to send a request's header,
	// and how long a new connection may be without one.
	HeaderTimeout = 5 * time.Second

	// DefaultIdleTimeout is how long a connection may be without a request where
	// nothing else is set. It is longer than the 60 s after which the usual load
	// balancers close theirs: who closes last never sends into a closed one.
	DefaultIdleTimeout = 2 * time.Minute

	maxHeader = 32 << 10
)

// Server says how Serve serves.
type Server struct {
	Handler        http.Handler
	RequestTimeout time.Duration // how long a request's work takes at most; 0: DefaultRequestTimeout
	IdleTimeout    time.Duration // how long a connection may be without a request; 0: DefaultIdleTimeout
	Connections    int           // how many are served at once; 0: what the limit of open files leaves
	Grace          time.Duration // how long requests in hand may take once it is to stop
	Interrupt      bool          // those in hand have their contexts ended then
	Log            *slog.Logger
}

// Serve answers requests on the listener until ctx ends, then takes no more,
// waits for those in hand, and returns. Those that take longer than the grace
// have their connections closed and their contexts ended. Without a handler it
// returns an error; without a log it uses slog.Default().
func (s Server) Serve(ctx context.Context, listener net.Listener) error {
	if err := wiring.Check("server", wiring.Part{Name: "a handler", Given: s.Handler}); err != nil {
		return err
	}
	log := wiring.Logger(s.Log)
	base, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	if s.Interrupt {
		defer context.AfterFunc(ctx, end)()
	}
	limit := func() bound { return fixedBound(s.Connections) }
	if s.Connections == 0 {
		sharing.Add(1)
		defer sharing.Add(-1)
		files := maxOpenFiles()
		limit = func() bound { return sharedBound(files, int(sharing.Load())) }
	}
	bounded := newBoundedListener(listener, limit, log)
	server := &http.Server{
		Handler:           onConnection(s.Handler, log),
		ReadHeaderTimeout: HeaderTimeout,
		ReadTimeout:       HeaderTimeout + BodyTimeout,
		WriteTimeout:      BodyTimeout + cmp.Or(s.RequestTimeout, DefaultRequestTimeout) + 5*time.Second, // from the end of the header on
		IdleTimeout:       cmp.Or(s.IdleTimeout, DefaultIdleTimeout),
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return context.WithValue(base, serverKey{}, base) },
		ConnContext:       withConnection,
		ConnState:         bounded.note,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(bounded) }()
	select {
	case err := <-served:
		return errors.Join(fmt.Errorf("serve %s: %w", listener.Addr(), err), server.Close())
	case <-ctx.Done():
	}

	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.Grace)
	defer cancel()
	err := server.Shutdown(grace)
	if err != nil {
		err = errors.Join(fmt.Errorf("stop serving %s: requests in hand after %v: %w", listener.Addr(), s.Grace, err), server.Close())
	}
	<-served
	return err
}
