package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// DefaultRequestTimeout is how long an answer may take where nothing else is
// set.
const DefaultRequestTimeout = 10 * time.Second

// readTimeout is how long a client may take to send a request.
const readTimeout = 15 * time.Second

// Server says how Serve serves.
type Server struct {
	Handler        http.Handler
	RequestTimeout time.Duration // how long the handler takes at most
	Grace          time.Duration // how long requests in hand may take once it is to stop
	Interrupt      bool          // those in hand have their contexts ended then
	Log            *slog.Logger
}

// Serve answers requests on the listener until ctx ends, then takes no more,
// waits for those in hand, and returns.
func (s Server) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler:           s.Handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       readTimeout,
		WriteTimeout:      readTimeout + s.RequestTimeout + 5*time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}
	if s.Interrupt {
		server.BaseContext = func(net.Listener) context.Context { return ctx }
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve %s: %w", listener.Addr(), err)
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
