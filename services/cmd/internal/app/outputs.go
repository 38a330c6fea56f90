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

// openOutputs returns the outputs for a running service's streams. It makes writes to
// a closed pipe fail instead of ending the process.
func openOutputs(name string, c *Common, s Streams) (out, errs *Output) {
	signal.Ignore(syscall.SIGPIPE)
	errs = newOutput(s.Err, func(dropped int) []byte {
		return fmt.Appendf(nil, "%s: stderr can be written again; %d lines were dropped\n", name, dropped)
	}, nil)
	out = newOutput(s.Out, c.resumed, func(err error) {
		if err == nil {
			fmt.Fprintf(errs, "%s: stdout can be written again\n", name)
		} else {
			fmt.Fprintf(errs, "%s: stdout can't be written: %v; notifications wait and log lines are dropped until it can\n", name, err)
		}
	})
	if isNull(s.Out) {
		fmt.Fprintf(errs, "%s: stdout is closed, or %s: the log and its notifications are lost\n", name, os.DevNull)
	}
	return out, errs
}

// closeOutputs writes the remaining lines, within the close timeout.
func closeOutputs(name string, c *Common, out, errs *Output) {
	half := c.closeTimeout() / 2
	if err := closeWithin(half, out); err != nil {
		fmt.Fprintf(errs, "%s: stdout: %v\n", name, err)
	}
	_ = closeWithin(half, errs) // no stream is left to report the error
}

func closeWithin(timeout time.Duration, o *Output) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return o.Close(ctx)
}

// isNull reports whether w is the null device. Go's runtime opens it in place of
// a closed stream.
func isNull(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	null, nullErr := os.Stat(os.DevNull)
	return err == nil && nullErr == nil && os.SameFile(info, null)
}
