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

	"example.com/orderflow/services/cmd/proof/harness"
)

// notices reads the log of a notifier: one JSON line a notification, with the time
// first.
type notices struct {
	file    *os.File
	rest    []byte                // of an incomplete line
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

// silence bounds the time without any notice while some are missing. Events that did
// not fit into the relay's buffer come once their claims have run out.
const silence = time.Minute

// errLost is returned when orders were answered with 201 and then lost.
var errLost = errors.New("orders lost")

// await waits until each of the orders has its notice, and returns when the last was
// written. It gives up after a silence in which none of these notices came.
func (n *notices) await(ctx context.Context, orders []answered, silence time.Duration) (last time.Time, err error) {
	heard := time.Now()
	missing := orders
	noticed := func(a answered) bool {
		at, ok := n.at[a.order]
		if at.After(last) {
			last = at
		}
		return ok
	}
	for {
		if err := n.read(); err != nil {
			return last, err
		}
		for len(missing) > 0 && noticed(missing[0]) {
			missing = missing[1:]
		}
		if len(missing) == 0 {
			return last, nil
		}
		if time.Since(heard) > silence {
			// The loop above stops at the first missing order. Look at all others now.
			missing = slices.DeleteFunc(slices.Clone(missing), noticed)
			if last.After(heard) {
				heard = last
			}
			if time.Since(heard) > silence {
				return last, fmt.Errorf("%w: %d were answered and are not notified, such as %s", errLost, len(missing), missing[0].order[:])
			}
		}
		if !harness.Sleep(ctx, 10*time.Millisecond) {
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

// read reads the log to its present end.
func (n *notices) read() error {
	buffer := make([]byte, 256<<10)
	for {
		got, err := n.file.Read(buffer)
		lines := append(n.rest, buffer[:got]...)
		for {
			line, after, whole := bytes.Cut(lines, []byte("\n"))
			if !whole {
				break
			}
			n.readLine(line)
			lines = after
		}
		n.rest = slices.Clone(lines)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
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
