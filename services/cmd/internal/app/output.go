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
	outputCheck   = 250 * time.Millisecond // interval of the checks for that
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

	// errUnderWay is returned for a line that may still be written.
	errUnderWay = fmt.Errorf("%w, and a write is under way", errStuck)
)

// Output is where a running service writes its lines. The reader may be slow,
// stopped or gone, and the disk full: every wait for it has a bound.
//
// Log lines never wait: a goroutine writes them, and drops and counts those that
// exceed its buffer. A notification waits some seconds for its own line. If the
// output takes it without blocking, the caller writes it, with all waiting lines:
// that costs less than waking another goroutine.
type Output struct {
	to      io.Writer
	conn    syscall.RawConn          // tells whether the output is writable; nil: it always is
	batch   int                      // bytes in one write
	direct  bool                     // a write of a batch does not block while conn is writable
	resumed func(dropped int) []byte // returns the line that says that writing works again
	changed func(error)              // called when writing begins to fail, and with nil when it works again

	life    context.Context // ends when Close gives up the remaining lines
	abandon context.CancelFunc
	ended   chan struct{}
	wake    chan struct{}

	mu      sync.Mutex
	queue   []*line
	waiting int       // bytes of log lines in the queue
	writing bool      // a writer has the turn
	began   time.Time // when its turn began
	lines   []*line   // under way in its write
	dropped int       // lines, since resumed last reported them
	failure error     // of the last write
	closing bool

	// Of the writer that has the turn.
	torn bool // the last write ended within a line
	text []byte
	ends []int // of each line in text
	last time.Time
}

// line is a line to be written.
type line struct {
	text []byte

	// Only if a caller waits for the line.
	fate  chan error // receives the result, once
	ctx   context.Context
	until time.Time
}

// newOutput returns an output that writes to w, until Close.
func newOutput(w io.Writer, resumed func(dropped int) []byte, changed func(error)) *Output {
	o := &Output{
		to: w, batch: pipeBatch, resumed: resumed, changed: changed,
		ended: make(chan struct{}), wake: make(chan struct{}, 1),
	}
	o.life, o.abandon = context.WithCancel(context.Background())
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

// writeLine returns nil once the line, which has a fate, is written. After an
// error the line is not and will not be written, except after errUnderWay: then
// it may be, and the output owns it.
func (o *Output) writeLine(ctx context.Context, l *line) error {
	l.ctx, l.until = ctx, time.Now().Add(outputTimeout)
	o.mu.Lock()
	o.put(l)
	mine := o.direct && o.begin()
	if !mine && !o.writing {
		o.kick()
	}
	o.mu.Unlock()
	if mine {
		if o.began.Sub(o.last) < outputBurst {
			runtime.Gosched() // lets other lines of the burst join the batch
		}
		for len(l.fate) == 0 && o.fits() && o.canWrite(0) {
			o.writeBatch()
		}
		o.end()
	}
	return <-l.fate
}

// Ping returns nil if the last write succeeded, or else if another one does.
func (o *Output) Ping(ctx context.Context) error {
	o.mu.Lock()
	failure := o.failure
	o.mu.Unlock()
	if failure == nil {
		return nil
	}
	// The empty line brings along the one that says that writing works again.
	return o.writeLine(ctx, &line{fate: make(chan error, 1)})
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
		select { // the writer ends now, unless a write blocks it
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
	if l.fate == nil {
		o.waiting += sign * len(l.text)
	}
}

func (o *Output) kick() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// watch ends waits for lines that take too long, until the output is closed.
func (o *Output) watch() {
	ticks := time.NewTicker(outputCheck)
	defer ticks.Stop()
	for {
		select {
		case now := <-ticks.C:
			if o.giveUp(now) {
				o.note(errStuck)
			}
		case <-o.life.Done():
			return
		}
	}
}

// giveUp withdraws the lines whose time is up, and tells their callers. It
// reports whether a write has blocked for too long.
func (o *Output) giveUp(now time.Time) (stuck bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue = slices.DeleteFunc(o.queue, func(l *line) bool {
		if l.fate == nil {
			return false
		}
		err := l.ctx.Err()
		if err == nil && now.After(l.until) {
			err = errStuck
		}
		if err != nil {
			o.count(l, -1)
			l.fate <- err
		}
		return err != nil
	})
	stuck = o.writing && now.Sub(o.began) > outputTimeout
	if stuck {
		for i, l := range o.lines {
			if l.fate != nil {
				l.fate <- errUnderWay
				o.lines[i] = &line{text: l.text}
			}
		}
	}
	return stuck
}

// note keeps the result of the last write, and reports a change.
func (o *Output) note(err error) {
	o.mu.Lock()
	changed := o.failure != err && (o.failure == nil || err == nil || o.failure.Error() != err.Error())
	o.failure = err
	o.mu.Unlock()
	if changed && o.changed != nil {
		o.changed(err)
	}
}
