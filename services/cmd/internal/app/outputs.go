package app

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// openOutputs returns what a running service writes to in the place of its
// streams. From here on a reader that goes away is an error in writing and not
// the end of the process.
func openOutputs(name string, c *Common, s Streams) (out, errs *Output) {
	signal.Ignore(syscall.SIGPIPE)
	errs = newOutput(s.Err, func(dropped int) []byte {
		return fmt.Appendf(nil, "%s: stderr is written again; %d lines were dropped\n", name, dropped)
	}, nil)
	out = newOutput(s.Out, c.resumed, func(err error) {
		if err == nil {
			fmt.Fprintf(errs, "%s: stdout is written again\n", name)
		} else {
			fmt.Fprintf(errs, "%s: stdout can't be written: %v; until it can, notifications wait and log lines are dropped\n", name, err)
		}
	})
	if isNull(s.Out) {
		fmt.Fprintf(errs, "%s: stdout is closed, or %s: nobody gets the log, nor the notifications in it\n", name, os.DevNull)
	}
	return out, errs
}

// closeOutputs writes what is left, for a bounded time.
func closeOutputs(name string, c *Common, out, errs *Output) {
	half := c.closeTimeout() / 2
	if err := closeWithin(half, out); err != nil {
		fmt.Fprintf(errs, "%s: stdout: %v\n", name, err)
	}
	_ = closeWithin(half, errs) // nobody is left to tell
}

func closeWithin(timeout time.Duration, o *Output) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return o.Close(ctx)
}

// isNull reports whether w leads nowhere. The runtime opens the null device in
// the place of a stream that was closed.
func isNull(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	null, nullErr := os.Stat(os.DevNull)
	return err == nil && nullErr == nil && os.SameFile(info, null)
}
