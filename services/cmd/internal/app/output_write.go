package app

import (
	"io"
	"slices"
	"time"
)

// run writes what is queued, until the output is closed and all is written, or
// what is left is given up.
func (o *Output) run() {
	defer close(o.ended)
	for o.await() {
		for !o.canWrite(outputCheck) {
			if o.life.Err() != nil {
				return
			}
		}
		o.writeBatch()
		o.end()
	}
}

// await waits until there are lines and nobody else writes them. It returns
// false if none will come.
func (o *Output) await() bool {
	for {
		o.mu.Lock()
		mine, over := o.begin(), o.closing && len(o.queue) == 0 && !o.writing
		o.mu.Unlock()
		if mine || over {
			return mine
		}
		<-o.wake
	}
}

// begin takes the turn to write, unless another has it or there is nothing to
// be written. The caller holds o.mu.
func (o *Output) begin() bool {
	if o.writing || len(o.queue) == 0 {
		return false
	}
	o.writing, o.began = true, time.Now()
	return true
}

// end gives the turn back; the goroutine goes on with what is left.
func (o *Output) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.writing = false
	if len(o.queue) > 0 || o.closing {
		o.kick()
	}
}

// canWrite waits until a batch can be written without a wait, but no longer than
// wait. Until then no line has begun to be written, and each can be withdrawn.
func (o *Output) canWrite(wait time.Duration) bool {
	return o.conn == nil || canWrite(o.conn, wait)
}

// fits reports whether the next line goes in one write, and so without a wait.
func (o *Output) fits() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.queue) > 0 && len(o.queue[0].text) < o.batch
}

// writeBatch writes lines from the queue in one go, and tells each what became
// of it: of a write that failed, the first lines may be complete.
func (o *Output) writeBatch() {
	said, dropped := o.take()
	n, err := o.to.Write(o.text)
	o.last = time.Now()
	if err == nil && n < len(o.text) {
		err = io.ErrShortWrite
	}
	if n > 0 {
		o.torn = o.text[n-1] != '\n'
	}

	o.mu.Lock()
	if n >= said {
		o.dropped -= dropped
	}
	for i, l := range o.lines {
		var fate error
		if o.ends[i] > n || n < said {
			fate = err
		}
		if l.fate != nil {
			l.fate <- fate
		} else if fate != nil {
			o.dropped++
		}
	}
	clear(o.lines)
	o.lines = o.lines[:0]
	o.mu.Unlock()
	o.note(err)
}

// take takes the lines of the next batch from the queue and makes the text to
// be written of them. Up to said it says that writing goes on, and how many
// lines were dropped, if that is to be said.
func (o *Output) take() (said, dropped int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text, o.ends = o.text[:0], o.ends[:0]
	if o.torn {
		o.text = append(o.text, '\n')
	}
	if o.failure != nil || o.dropped > 0 {
		o.text = append(o.text, o.resumed(o.dropped)...)
	}
	said = len(o.text)
	for _, l := range o.queue {
		if len(o.text) > 0 && len(o.text)+len(l.text) > o.batch {
			break
		}
		o.text = append(o.text, l.text...)
		o.ends = append(o.ends, len(o.text))
		o.count(l, -1)
	}
	o.lines = append(o.lines, o.queue[:len(o.ends)]...)
	o.queue = slices.Delete(o.queue, 0, len(o.ends))
	return said, o.dropped
}
