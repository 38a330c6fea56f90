package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// orderID is the id of an order, as text.
type orderID [36]byte

// answered is a request that was answered as it should be.
type answered struct {
	order orderID
	since time.Time // when it was sent or, with an open loop, when it was due
	took  time.Duration
}

// load asks one request after the other on each of its connections. Without a
// rate it is a closed loop: every client waits for its answer before it asks
// again, so a slow server is asked less. With a rate it is an open loop: requests
// are due at even intervals, whoever is behind, and times count from then.
type load struct {
	addresses []string // the clients share them evenly
	clients   int
	rate      float64 // requests a second; 0: a closed loop
	duration  time.Duration

	request func(client int) []byte
	status  int // that every answer must have
}

// answerTimeout is how long the last answers may take.
const answerTimeout = 30 * time.Second

// run returns what was answered until the time is over or ctx ends, and how
// long it took to the last answer. Any other answer is an error.
func (l load) run(ctx context.Context) ([]answered, time.Duration, error) {
	connections := make([]*conn, l.clients)
	defer func() {
		for _, c := range connections {
			if c != nil {
				c.Close()
			}
		}
	}()
	for i := range connections {
		c, err := dial(l.addresses[i%len(l.addresses)], time.Now().Add(l.duration+answerTimeout))
		if err != nil {
			return nil, 0, fmt.Errorf("load: %w", err)
		}
		connections[i] = c
	}

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	began := time.Now()
	pace := pace{began: began, end: began.Add(l.duration), rate: l.rate}
	perClient := make([][]answered, l.clients)
	errs := make([]error, l.clients)
	var wg sync.WaitGroup
	for i, c := range connections {
		wg.Go(func() {
			perClient[i], errs[i] = l.client(ctx, i, c, &pace)
			if errs[i] != nil {
				stop()
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	if err := errors.Join(errs...); err != nil {
		return nil, 0, fmt.Errorf("load: %w", err)
	}
	return slices.Concat(perClient...), took, nil
}

func (l load) client(ctx context.Context, number int, c *conn, pace *pace) ([]answered, error) {
	all := make([]answered, 0, 1024)
	for {
		due, ok := pace.next(ctx)
		if !ok {
			return all, nil
		}
		status, body, err := c.do(l.request(number))
		if err != nil {
			return nil, err
		}
		took := time.Since(due)
		if status != l.status {
			return nil, fmt.Errorf("answered %d, want %d: %s", status, l.status, body)
		}
		a := answered{since: due, took: took}
		if l.status == http.StatusCreated {
			if a.order, ok = readID(body); !ok {
				return nil, fmt.Errorf("no id in %q", body)
			}
		}
		all = append(all, a)
	}
}

// pace says when the next request is due, for all clients together.
type pace struct {
	began, end time.Time
	rate       float64
	sent       atomic.Int64
}

// next returns when the next request is due, once it is; false: no more. What
// is due before the end is sent, however late, or the latest would not count.
func (p *pace) next(ctx context.Context) (due time.Time, ok bool) {
	if p.rate == 0 {
		now := time.Now()
		return now, now.Before(p.end) && ctx.Err() == nil
	}
	number := p.sent.Add(1) - 1
	due = p.began.Add(time.Duration(float64(number) / p.rate * float64(time.Second)))
	if !due.Before(p.end) {
		return due, false
	}
	wait := time.NewTimer(time.Until(due))
	defer wait.Stop()
	select {
	case <-wait.C:
		return due, true
	case <-ctx.Done():
		return due, false
	}
}

var beforeID = []byte(`"id":"`)

// readID returns the first id in an order's JSON.
func readID(body []byte) (id orderID, ok bool) {
	i := bytes.Index(body, beforeID)
	if i < 0 {
		return id, false
	}
	n := copy(id[:], body[i+len(beforeID):])
	return id, n == len(id)
}

// latencies returns how long the answers took, sorted.
func latencies(all []answered) []time.Duration {
	sorted := make([]time.Duration, len(all))
	for i, a := range all {
		sorted[i] = a.took
	}
	slices.Sort(sorted)
	return sorted
}

// postOrder is the request to place an order.
func postOrder(user string) []byte {
	body := fmt.Sprintf(`{"user_id":%q,"product":"Laptop","quantity":1}`, user)
	return fmt.Appendf(nil, "POST /order HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// postOrders returns each client's request to place an order, always the same.
func postOrders(clients int) func(client int) []byte {
	requests := make([][]byte, clients)
	for i := range requests {
		requests[i] = postOrder(fmt.Sprintf("client-%d", i))
	}
	return func(client int) []byte { return requests[client] }
}

func get(path string) []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path)
}
