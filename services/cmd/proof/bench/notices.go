package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"example.com/orderflow/services/cmd/proof/harness"
)

// notices reads the log of a notifier: one JSON line a notification, with the time
// first.
type notices struct {
	file    *os.File
	in      *bufio.Reader
	line    []byte                // as far as it is written
	at      map[orderID]time.Time // the first notice of each order
	repeats int
}

func readNotices(path string) (*notices, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &notices{file: file, in: bufio.NewReaderSize(file, 256<<10), at: make(map[orderID]time.Time)}, nil
}

func (n *notices) close() { n.file.Close() }

// silence bounds the time without any notice while some are missing. Events that did
// not fit into the relay's buffer come once their claims have run out.
const silence = time.Minute

// errLost is returned when orders were answered with 201 and then lost.
var errLost = errors.New("orders lost")

// await waits until each of the orders has its notice, and returns when the last was
// written. It gives up after a silence in which none of these notices came.
func (n *notices) await(ctx context.Context, orders []answered, silence time.Duration) (last time.Time, err error) {
	noticed := func(a answered) bool {
		at, ok := n.at[a.order]
		if at.After(last) {
			last = at
		}
		return ok
	}
	for heard := time.Now(); ; {
		if err := n.read(); err != nil {
			return last, err
		}
		for len(orders) > 0 && noticed(orders[0]) {
			orders = orders[1:]
		}
		if time.Since(heard) > silence {
			// The loop above stops at the first missing order. Look at all others now.
			orders = slices.DeleteFunc(slices.Clone(orders), noticed)
			if last.After(heard) {
				heard = last
			}
		}
		switch {
		case len(orders) == 0:
			return last, nil
		case time.Since(heard) > silence:
			return last, fmt.Errorf("%w: %d were answered and are not notified, such as %s", errLost, len(orders), orders[0].order[:])
		case !harness.Sleep(ctx, 10*time.Millisecond):
			return last, ctx.Err()
		}
	}
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

// account checks that each of the orders was notified once, and no other.
func (n *notices) account(orders []answered) error {
	if err := n.read(); err != nil {
		return err
	}
	if n.repeats > 0 {
		return fmt.Errorf("%d notifications were repeated", n.repeats)
	}
	if all := len(n.at); all != len(orders) || n.count(orders) != all {
		return fmt.Errorf("%d orders were notified, want the %d that were answered or had waited", all, len(orders))
	}
	return nil
}

// read reads the log to its present end.
func (n *notices) read() error {
	for {
		part, err := n.in.ReadSlice('\n')
		n.line = append(n.line, part...)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err == nil:
			n.readLine(n.line)
			n.line = n.line[:0]
		case !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
}

// readLine searches the line for its fields. A JSON decoder would take more of the
// cores that it shares with the services.
func (n *notices) readLine(line []byte) {
	text, isJSON := bytes.CutPrefix(line, []byte(`{"time":"`))
	if !isJSON || !bytes.Contains(line, []byte(harness.Notified)) {
		return
	}
	text, _, _ = bytes.Cut(text, []byte(`"`))
	at, err := time.Parse(time.RFC3339Nano, string(text))
	order, ok := readID(line, `"order_id":"`)
	if err != nil || !ok {
		return
	}
	if _, known := n.at[order]; known {
		n.repeats++
		return
	}
	n.at[order] = at
}
