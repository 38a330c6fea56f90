package httpapi

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"example.com/orderflow/services/internal/wiring"
)

const (
	// headerTimeout bounds how long a client may take to send a request's header.
	// On a new connection it begins when the connection opens.
	headerTimeout = 5 * time.Second

	// defaultIdleTimeout is the default of [Server.IdleTimeout]. It is longer than
	// the 60 s of the usual load balancers. If the server closed a connection
	// first, the balancer could send a request into it.
	defaultIdleTimeout = 2 * time.Minute

	maxHeader = 32 << 10
)

// Server holds the settings of [Server.Serve].
type Server struct {
	Handler        http.Handler  // required
	TLS            *tls.Config   // with a certificate; nil: without TLS
	RequestTimeout time.Duration // the handler's bound on the work for a request; 0: 10 s
	IdleTimeout    time.Duration // after which a connection without a request is closed; 0: 2 min
	Connections    int           // bound on open connections, less if the limit of open files is low; 0: as the limit of open files allows, 4096 at most
	Grace          time.Duration // bound on the time to finish requests during a stop
	Interrupt      bool          // a stop begins by ending the contexts of running requests
	Log            *slog.Logger  // nil: slog.Default()
}

// Serve answers requests on the listener until ctx ends. Then it accepts no more
// requests, waits for the running ones and returns nil. If they take longer than
// Grace, it closes their connections, ends their contexts and returns an error.
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
	files := maxOpenFiles()
	limit := func() bound { return ownBound(s.Connections, files) }
	if s.Connections == 0 {
		sharing.Add(1)
		defer sharing.Add(-1)
		limit = func() bound { return sharedBound(files, int(sharing.Load())) }
	}
	bounded := newBoundedListener(listener, limit, log)
	bounded.tls = s.TLS
	server := &http.Server{
		Handler:           connectionHandler(s.Handler, log),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       headerTimeout + bodyTimeout,
		WriteTimeout:      bodyTimeout + cmp.Or(s.RequestTimeout, defaultRequestTimeout) + 5*time.Second, // from the end of the header on
		IdleTimeout:       cmp.Or(s.IdleTimeout, defaultIdleTimeout),
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return context.WithValue(base, serverKey{}, base) },
		ConnContext:       withConnection,
		ConnState:         bounded.noteState,
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
		err = errors.Join(fmt.Errorf("stop serving %s: requests still running after %v: %w", listener.Addr(), s.Grace, err), server.Close())
	}
	<-served
	return err
}
