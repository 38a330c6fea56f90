package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// orderID is the id of an order, as text.
type orderID [36]byte

// answered is a request with the right answer.
type answered struct {
	order orderID
	since time.Time // when it was sent or, in an open loop, due
	took  time.Duration
}

// load sends one request after the other on each of its connections. Without a rate
// it is a closed loop: each client waits for its answer, so a slow server gets fewer
// requests. With a rate it is an open loop: requests are due at even intervals, and
// their times count from then, however late a client is.
type load struct {
	addresses []string // shared evenly by the clients
	clients   int
	rate      float64 // requests a second; 0: a closed loop
	duration  time.Duration

	request func(client int) []byte
	status  int // that every answer must have
}

// answerTimeout bounds the last answers.
const answerTimeout = 30 * time.Second

// run returns the requests that were answered until the time is over or ctx ends, and
// the time until the last answer. Any other answer is an error.
func (l load) run(ctx context.Context) ([]answered, time.Duration, error) {
	connections := make([]*conn, l.clients)
	for i := range connections {
		c, err := dial(l.addresses[i%len(l.addresses)], time.Now().Add(l.duration+answerTimeout))
		if err != nil {
			return nil, 0, fmt.Errorf("load: %w", err)
		}
		defer c.Close()
		connections[i] = c
	}
	began := time.Now()
	pace := pace{began: began, end: began.Add(l.duration), rate: l.rate}
	perClient := make([][]answered, l.clients)
	group, ctx := errgroup.WithContext(ctx)
	for i, c := range connections {
		group.Go(func() (err error) {
			perClient[i], err = l.client(ctx, i, c, &pace)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, 0, fmt.Errorf("load: %w", err)
	}
	return slices.Concat(perClient...), time.Since(began), nil
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
			if a.order, ok = readID(body, `"id":"`); !ok {
				return nil, fmt.Errorf("no id in %q", body)
			}
		}
		all = append(all, a)
	}
}

// pace schedules the requests of all clients together.
type pace struct {
	began, end time.Time
	rate       float64
	sent       atomic.Int64
}

// next waits until the next request is due. It reports false after the end. Requests
// that were due before the end are sent, however late: their times count most.
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

// readID returns the id that follows the first such text.
func readID(text []byte, before string) (id orderID, ok bool) {
	_, after, found := bytes.Cut(text, []byte(before))
	return id, found && copy(id[:], after) == len(id)
}

// latencies returns the times of the answers, sorted.
func latencies(all []answered) []time.Duration {
	sorted := make([]time.Duration, len(all))
	for i, a := range all {
		sorted[i] = a.took
	}
	slices.Sort(sorted)
	return sorted
}

// postOrders returns the request of each client to place an order.
func postOrders(clients int) func(client int) []byte {
	requests := make([][]byte, clients)
	for i := range requests {
		body := fmt.Sprintf(`{"user_id":"client-%d","product":"Laptop","quantity":1}`, i)
		requests[i] = fmt.Appendf(nil, "POST /order HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
	return func(client int) []byte { return requests[client] }
}

func get(path string) []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path)
}

// conn is a client's connection: HTTP/1.1, one request at a time. It does little
// more than read and write, because it shares the cores with the services.
type conn struct {
	net.Conn
	in   *bufio.Reader
	body bytes.Buffer // of the last answer
}

func dial(address string, until time.Time) (*conn, error) {
	c, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, in: bufio.NewReader(c)}, c.SetDeadline(until)
}

// do sends a request and returns the answer. The body is valid until the next call.
func (c *conn) do(request []byte) (status int, body []byte, err error) {
	if _, err := c.Write(request); err != nil {
		return 0, nil, fmt.Errorf("send a request: %w", err)
	}
	status, err = c.readResponse()
	if err != nil {
		return 0, nil, fmt.Errorf("read an answer: %w", err)
	}
	return status, c.body.Bytes(), nil
}

var errConnectionEnds = errors.New("the connection ends with it")

// readResponse reads an answer into c.body. It refuses one that ends the connection.
func (c *conn) readResponse() (status int, err error) {
	c.body.Reset()
	response, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if response.Close {
		return 0, fmt.Errorf("status %d: %w", response.StatusCode, errConnectionEnds)
	}
	_, err = c.body.ReadFrom(response.Body)
	return response.StatusCode, err
}
