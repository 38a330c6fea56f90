package app

import (
	"io"
	"slices"
	"time"
)

// run writes queued lines until the output is closed and either all lines are
// written or Close gives up.
func (o *Output) run() {
	defer close(o.ended)
	for o.await() {
		for !o.canWrite(outputCheck) {
			if o.lifetime.Err() != nil {
				return
			}
		}
		o.writeBatch()
		o.end()
	}
}

// await waits until there are lines and no other writer has the turn. It returns
// false once the output is closed and all lines are written.
func (o *Output) await() bool {
	for {
		o.mu.Lock()
		hasTurn, over := o.begin(), o.closing && len(o.queue) == 0 && !o.writing
		o.mu.Unlock()
		if hasTurn || over {
			return hasTurn
		}
		<-o.wake
	}
}

// begin takes the turn to write, unless another writer has it or no line waits.
// The caller holds o.mu.
func (o *Output) begin() bool {
	if o.writing || len(o.queue) == 0 {
		return false
	}
	o.writing, o.began = true, time.Now()
	return true
}

// end gives the turn back; the goroutine writes the remaining lines.
func (o *Output) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.writing = false
	if len(o.queue) > 0 || o.closing {
		o.kick()
	}
}

// canWrite waits until a batch can be written without blocking, for wait at most.
// During the wait every line can still be withdrawn.
func (o *Output) canWrite(wait time.Duration) bool {
	return o.conn == nil || canWrite(o.conn, wait)
}

// fits reports whether the next line fits into one write, and so does not block.
func (o *Output) fits() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.queue) > 0 && len(o.queue[0].text) < o.batch
}

// writeBatch writes lines from the queue in one write. It sends each line's own
// result to the line's caller: a write that fails may have written the first lines.
func (o *Output) writeBatch() {
	head, dropped := o.take()
	n, err := o.to.Write(o.text)
	o.wroteAt = time.Now()
	if err == nil && n < len(o.text) {
		err = io.ErrShortWrite
	}
	if n > 0 {
		o.torn = o.text[n-1] != '\n'
	}

	o.mu.Lock()
	if n >= head {
		o.dropped -= dropped
	}
	for i, l := range o.lines {
		var result error
		if o.ends[i] > n || n < head {
			result = err
		}
		if l.result != nil {
			l.result <- result
		} else if result != nil {
			o.dropped++
		}
	}
	clear(o.lines)
	o.lines = o.lines[:0]
	o.mu.Unlock()
	o.note(err)
}

// take moves the lines of the next batch from the queue into the text to write.
// After a failure or a drop, the text begins with the line from resumed, which
// ends at head and reports the dropped lines.
func (o *Output) take() (head, dropped int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text, o.ends = o.text[:0], o.ends[:0]
	if o.torn {
		o.text = append(o.text, '\n')
	}
	if o.failure != nil || o.dropped > 0 {
		o.text = append(o.text, o.resumed(o.dropped)...)
	}
	head = len(o.text)
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
	return head, o.dropped
}
