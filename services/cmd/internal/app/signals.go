package app

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// signalled is why a context has ended: by the first signal to stop.
type signalled struct{ os.Signal }

func (s signalled) Error() string { return s.String() + " received" }

// untilSignal returns a context that ends with SIGTERM, with SIGINT, and with
// SIGHUP, unless that was ignored at the start, as under nohup. A second signal
// has its default effect: the end. Only SIGHUP has none then: the end of a
// terminal sends it twice, by the system and by the shell.
func untilSignal() context.Context {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := context.WithCancelCause(context.Background())
	received := make(chan os.Signal, 1)
	signal.Notify(received, signals...)
	go func() { // for as long as the process lives
		first := <-received
		signal.Ignore(syscall.SIGHUP)
		signal.Stop(received)
		stop(signalled{first})
	}()
	return ctx
}

// byHand reports whether ctx was ended by ^C.
func byHand(ctx context.Context) bool {
	var s signalled
	return errors.As(context.Cause(ctx), &s) && s.Signal == os.Interrupt
}
