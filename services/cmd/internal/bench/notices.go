package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// notices reads what a notifier writes: one JSON line a notification, in the
// form of slog, with the time first.
type notices struct {
	file    *os.File
	rest    []byte                // of a line that is not complete yet
	at      map[orderID]time.Time // the first notice of each order
	repeats int
}

func readNotices(path string) (*notices, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &notices{file: file, at: make(map[orderID]time.Time)}, nil
}

func (n *notices) close() { n.file.Close() }

// silence is how long nothing may come while something is missing. What did
// not fit into the relay's buffer comes once its claim has run out.
const silence = time.Minute

// await waits until every one of the orders has its notice, and returns when
// the last was written. It gives up after silence, in which none of theirs has
// come.
func (n *notices) await(ctx context.Context, orders []answered, silence time.Duration) (last time.Time, err error) {
	heard := time.Now()
	missing := orders
	for {
		if err := n.read(); err != nil {
			return last, err
		}
		noticed := func(a answered) bool {
			at, ok := n.at[a.order]
			if at.After(last) {
				last = at
			}
			return ok
		}
		for len(missing) > 0 && noticed(missing[0]) {
			missing = missing[1:]
		}
		if len(missing) == 0 {
			return last, nil
		}
		if time.Since(later(heard, last)) > silence {
			// Those behind the first may have come, which is not looked at each time.
			missing = slices.DeleteFunc(slices.Clone(missing), noticed)
			if heard = later(heard, last); time.Since(heard) > silence {
				return last, lost(missing)
			}
		}
		select {
		case <-ctx.Done():
			return last, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// errLost: an order was answered with 201, and is not notified.
var errLost = errors.New("orders lost")

func lost(missing []answered) error {
	return fmt.Errorf("%w: %d were answered and are not notified, such as %s", errLost, len(missing), missing[0].order[:])
}

func later(x, y time.Time) time.Time {
	if y.After(x) {
		return y
	}
	return x
}

// count returns how many of the orders have their notice.
func (n *notices) count(orders []answered) (noticed int) {
	for _, a := range orders {
		if _, ok := n.at[a.order]; ok {
			noticed++
		}
	}
	return noticed
}

// read takes what has been written since.
func (n *notices) read() error {
	buffer := make([]byte, 256<<10)
	for {
		got, err := n.file.Read(buffer)
		n.take(buffer[:got])
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (n *notices) take(written []byte) {
	n.rest = append(n.rest, written...)
	lines := n.rest
	for {
		end := bytes.IndexByte(lines, '\n')
		if end < 0 {
			break
		}
		n.takeLine(lines[:end])
		lines = lines[end+1:]
	}
	n.rest = append(n.rest[:0], lines...)
}

var (
	noticeMark   = []byte(`"msg":"Received order"`)
	beforeOrder  = []byte(`"order_id":"`)
	beforeMoment = []byte(`{"time":"`)
)

// takeLine is not a JSON decoder, for it shares the cores with what is
// measured; the lines are our own programs'.
func (n *notices) takeLine(line []byte) {
	if !bytes.Contains(line, noticeMark) || !bytes.HasPrefix(line, beforeMoment) {
		return
	}
	moment, _, _ := bytes.Cut(line[len(beforeMoment):], []byte(`"`))
	at, err := time.Parse(time.RFC3339Nano, string(moment))
	i := bytes.Index(line, beforeOrder)
	if err != nil || i < 0 {
		return
	}
	var order orderID
	if copy(order[:], line[i+len(beforeOrder):]) < len(order) {
		return
	}
	if _, known := n.at[order]; known {
		n.repeats++
		return
	}
	n.at[order] = at
}
