package app

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// signalled is the cause of a context that ended with a signal.
type signalled struct{ os.Signal }

func (s signalled) Error() string { return s.String() + " received" }

// untilSignal returns a context that ends with SIGTERM or SIGINT, or with SIGHUP
// unless the process started with SIGHUP ignored, as under nohup. A second SIGTERM or
// SIGINT kills the process. A second SIGHUP does not: when a terminal closes, the
// system sends one, and the shell another.
func untilSignal() context.Context {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := context.WithCancelCause(context.Background())
	received := make(chan os.Signal, 1)
	signal.Notify(received, signals...)
	go func() { // runs until a signal comes or the process ends
		first := <-received
		signal.Ignore(syscall.SIGHUP)
		signal.Stop(received)
		stop(signalled{first})
	}()
	return ctx
}

// commandStopTimeout is how long a command may take to end after a signal.
const commandStopTimeout = 5 * time.Second

// forceExit ends the process [commandStopTimeout] after ctx has ended, because a
// command may wait for the reader of its output. The returned function cancels that.
func forceExit(ctx context.Context) (done func()) {
	over := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(commandStopTimeout):
			os.Exit(1)
		case <-over:
		}
	})
	return sync.OnceFunc(func() { stop(); close(over) })
}

// endedByInterrupt reports whether ^C ended ctx.
func endedByInterrupt(ctx context.Context) bool {
	var s signalled
	return errors.As(context.Cause(ctx), &s) && s.Signal == os.Interrupt
}
