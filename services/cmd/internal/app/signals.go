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

// commandPatience is how long a command may take to end after a signal.
const commandPatience = 5 * time.Second

// endSoon ends the process a while after ctx has ended, for a command may wait
// for whoever reads what it writes. The function that it returns says that the
// command is done, or bounds its own end.
func endSoon(ctx context.Context) (done func()) {
	over := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(commandPatience):
			os.Exit(1)
		case <-over:
		}
	})
	return sync.OnceFunc(func() { stop(); close(over) })
}

// byHand reports whether ctx was ended by ^C.
func byHand(ctx context.Context) bool {
	var s signalled
	return errors.As(context.Cause(ctx), &s) && s.Signal == os.Interrupt
}
