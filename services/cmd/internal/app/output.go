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
	outputPatience = 5 * time.Second        // how long a line waits to be written
	outputCheck    = 250 * time.Millisecond // how often that is looked after
	outputBuffer   = 1 << 20                // bytes of log lines that may wait
	outputBurst    = 100 * time.Microsecond // lines that follow so soon are of a burst

	// A pipe that can be written to at all takes so much without a wait
	// (PIPE_BUF); a file takes any amount.
	pipeBatch = 4 << 10
	fileBatch = 64 << 10
)

var (
	errStuck = fmt.Errorf("nothing was taken for %v: whoever reads it has stopped", outputPatience)

	// errUnderWay is returned for a line that is still being written.
	errUnderWay = fmt.Errorf("%w in the middle of a write", errStuck)
)

// Output is where a running service writes its lines. Whoever reads them may be
// slow, stopped or gone, and the disk full; nobody waits for that without a
// bound. Log lines never wait: a goroutine writes them, and those that don't fit
// into its buffer are dropped and counted. A notification waits a few seconds
// for its own line, and writes it itself, with all that wait, where that takes
// no waiting: to wake another goroutine costs more than to write.
type Output struct {
	to      io.Writer
	conn    syscall.RawConn          // to ask whether it takes anything; nil: it need not be asked
	batch   int                      // how many bytes go in one write
	direct  bool                     // a write of so many takes no waiting, once conn says so
	resumed func(dropped int) []byte // returns the line that says that writing goes on
	changed func(error)              // is called when writing begins to fail, and with nil when it goes on

	life    context.Context // ends when what is left is given up
	abandon context.CancelFunc
	ended   chan struct{}
	wake    chan struct{}

	mu      sync.Mutex
	queue   []*line
	waiting int       // bytes of log lines in the queue
	writing bool      // somebody has the turn
	began   time.Time // when it began
	lines   []*line   // those that are being written
	dropped int       // lines, not yet said to be
	failure error     // of the last write; nil: none
	closing bool

	// For whoever has the turn.
	torn bool // the last write ended within a line
	text []byte
	ends []int // of each line in text
	last time.Time
}

// line is one line on its way.
type line struct {
	text []byte

	// Of a line that somebody waits for.
	fate  chan error // gets what became of it, once
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
		} else { // a terminal says that it takes some, and may not take a batch
			o.conn, _ = file.SyscallConn() // without one, writing says why
		}
	}
	go o.watch()
	go o.run()
	return o
}

// Write takes a log line, or several, and never waits nor fails.
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
// error it is not, and never will be, but for errUnderWay: then it belongs to
// the output.
func (o *Output) writeLine(ctx context.Context, l *line) error {
	l.ctx, l.until = ctx, time.Now().Add(outputPatience)
	o.mu.Lock()
	o.put(l)
	mine := o.direct && o.begin()
	if !mine && !o.writing {
		o.kick()
	}
	o.mu.Unlock()
	if mine {
		if o.began.Sub(o.last) < outputBurst {
			runtime.Gosched() // lets the others of the burst come along
		}
		for len(l.fate) == 0 && o.fits() && o.canWrite(0) {
			o.writeBatch()
		}
		o.end()
	}
	return <-l.fate
}

// Ping returns nil if lines are written. Where the last was not, only writing
// another shows whether the next would be.
func (o *Output) Ping(ctx context.Context) error {
	o.mu.Lock()
	failure := o.failure
	o.mu.Unlock()
	if failure == nil {
		return nil
	}
	// An empty line: it brings along the one that says that writing goes on.
	return o.writeLine(ctx, &line{fate: make(chan error, 1)})
}

// Close writes what is left, until ctx ends.
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
		select { // it ends now, unless a write holds it
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

// count adds or takes away the size of a line that nobody waits for.
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

// watch has nobody wait for a line for too long, until the output is closed.
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

// giveUp tells those who have waited for their lines long enough, and withdraws
// the lines. It reports whether nothing is taken any more.
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
	stuck = o.writing && now.Sub(o.began) > outputPatience
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

// note keeps what became of the last write, and says so if it has changed.
func (o *Output) note(err error) {
	o.mu.Lock()
	changed := o.failure != err && (o.failure == nil || err == nil || o.failure.Error() != err.Error())
	o.failure = err
	o.mu.Unlock()
	if changed && o.changed != nil {
		o.changed(err)
	}
}
