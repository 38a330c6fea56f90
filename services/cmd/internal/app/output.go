package app

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	outputTimeout = 5 * time.Second        // how long a line waits to be written
	outputCheck   = 250 * time.Millisecond // interval of the checks for late lines
	outputBuffer  = 1 << 20                // bytes of log lines that may wait
	outputBurst   = 100 * time.Microsecond // lines at shorter intervals are a burst

	// Bytes in one write. A pipe that is writable takes PIPE_BUF bytes without
	// blocking; a file takes any number.
	pipeBatch = 4 << 10
	fileBatch = 64 << 10
)

var (
	// errStuck is returned when the reader of a pipe has stopped reading.
	errStuck = fmt.Errorf("the reader has taken nothing for %v", outputTimeout)

	// errUnderWay is returned when a blocked write may still write the line.
	errUnderWay = fmt.Errorf("%w, and a write is under way", errStuck)
)

// Output writes the lines of a running service. Its reader may be slow, stopped or
// gone, and the disk full: every wait for it has a bound.
//
// Log lines never wait: a goroutine writes them, and drops and counts those beyond
// 1 MiB. A notification waits up to 5 s for its own line. If the output takes the
// line without blocking, the caller writes it, with all waiting lines: that costs
// less than waking the goroutine.
type Output struct {
	to      io.Writer
	conn    syscall.RawConn          // knows whether the output is writable; nil: it always is
	batch   int                      // bytes in one write
	direct  bool                     // a write of a batch does not block while conn is writable
	resumed func(dropped int) []byte // returns the line that says that writing works again
	changed func(error)              // called when writing begins to fail, and with nil when it works again

	lifetime context.Context // ends when Close gives up the remaining lines
	abandon  context.CancelFunc
	ended    chan struct{}
	wake     chan struct{}

	mu      sync.Mutex
	queue   []*line
	waiting int       // bytes of log lines in the queue
	writing bool      // a writer has the turn
	began   time.Time // when the turn began
	lines   []*line   // in the write under way
	dropped int       // lines since the last line from resumed
	failure error     // of the last write
	closing bool

	// Only the writer that has the turn uses these.
	torn    bool // the last write ended within a line
	text    []byte
	ends    []int // of each line in text
	wroteAt time.Time
}

// line is a line to be written.
type line struct {
	text []byte

	// Only if a caller waits for the line.
	result   chan error // receives the write's error or nil, once
	ctx      context.Context
	deadline time.Time
}

// newOutput returns an output that writes to w, until Close.
func newOutput(w io.Writer, resumed func(dropped int) []byte, changed func(error)) *Output {
	o := &Output{
		to: w, batch: pipeBatch, resumed: resumed, changed: changed,
		ended: make(chan struct{}), wake: make(chan struct{}, 1),
	}
	o.lifetime, o.abandon = context.WithCancel(context.Background())
	if file, ok := w.(*os.File); ok {
		var mode os.FileMode
		if info, err := file.Stat(); err == nil {
			mode = info.Mode()
		}
		if o.direct = mode.IsRegular() || mode&(os.ModeNamedPipe|os.ModeSocket) != 0; mode.IsRegular() {
			o.batch = fileBatch
		} else { // not direct: a terminal that is writable may block on a batch
			o.conn, _ = file.SyscallConn() // after an error, writes fail
		}
	}
	go o.watch()
	go o.run()
	return o
}

// Write queues log lines. It never blocks and never fails.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.waiting+len(p) > outputBuffer {
		o.dropped++
	} else {
		o.put(&line{text: slices.Clone(p)})
		o.kick()
	}
	return len(p), nil
}

// writeLine waits until the line, which has a result channel, is written. After an
// error the line will never be written, except after errUnderWay: then it may be,
// and the output owns the line.
func (o *Output) writeLine(ctx context.Context, l *line) error {
	l.ctx, l.deadline = ctx, time.Now().Add(outputTimeout)
	o.mu.Lock()
	o.put(l)
	hasTurn := o.direct && o.begin()
	if !hasTurn && !o.writing {
		o.kick()
	}
	o.mu.Unlock()
	if hasTurn {
		if o.began.Sub(o.wroteAt) < outputBurst {
			runtime.Gosched() // lets other lines of the burst join the batch
		}
		for len(l.result) == 0 && o.fits() && o.canWrite(0) {
			o.writeBatch()
		}
		o.end()
	}
	return <-l.result
}

// Ping returns nil if the last write succeeded. Otherwise it tries another write and
// returns its error.
func (o *Output) Ping(ctx context.Context) error {
	o.mu.Lock()
	failure := o.failure
	o.mu.Unlock()
	if failure == nil {
		return nil
	}
	// The line from resumed precedes the empty line.
	return o.writeLine(ctx, &line{result: make(chan error, 1)})
}

// Close writes the remaining lines, until ctx ends.
func (o *Output) Close(ctx context.Context) error {
	defer o.abandon()
	o.mu.Lock()
	o.closing = true
	o.kick()
	o.mu.Unlock()
	select {
	case <-o.ended:
	case <-ctx.Done():
		o.abandon()
		select { // the writer ends soon, unless a write blocks it
		case <-o.ended:
		case <-time.After(2 * outputCheck):
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if lost := len(o.queue) + len(o.lines) + o.dropped; lost > 0 {
		return fmt.Errorf("%d lines could not be written: %w", lost, cmp.Or(o.failure, ctx.Err()))
	}
	return nil
}

// put queues the line. The caller holds o.mu.
func (o *Output) put(l *line) {
	o.queue = append(o.queue, l)
	o.count(l, 1)
}

// count adds the size of a log line to the waiting bytes, or subtracts it.
func (o *Output) count(l *line, sign int) {
	if l.result == nil {
		o.waiting += sign * len(l.text)
	}
}

// kick wakes the goroutine that writes.
func (o *Output) kick() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// watch withdraws late lines until the output is closed.
func (o *Output) watch() {
	ticks := time.NewTicker(outputCheck)
	defer ticks.Stop()
	for {
		select {
		case now := <-ticks.C:
			if o.withdraw(now) {
				o.note(errStuck)
			}
		case <-o.lifetime.Done():
			return
		}
	}
}

// withdraw removes the late lines and returns errors to their callers. It reports
// whether a write has blocked for longer than the timeout.
func (o *Output) withdraw(now time.Time) (stuck bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue = slices.DeleteFunc(o.queue, func(l *line) bool {
		if l.result == nil {
			return false
		}
		err := l.ctx.Err()
		if err == nil && now.After(l.deadline) {
			err = errStuck
		}
		if err != nil {
			o.count(l, -1)
			l.result <- err
		}
		return err != nil
	})
	stuck = o.writing && now.Sub(o.began) > outputTimeout
	if stuck {
		for i, l := range o.lines {
			if l.result != nil {
				l.result <- errUnderWay
				o.lines[i] = &line{text: l.text}
			}
		}
	}
	return stuck
}

// note keeps the result of the last write, and calls changed if it differs from the
// result before.
func (o *Output) note(err error) {
	o.mu.Lock()
	changed := o.failure != err && (o.failure == nil || err == nil || o.failure.Error() != err.Error())
	o.failure = err
	o.mu.Unlock()
	if changed && o.changed != nil {
		o.changed(err)
	}
}
