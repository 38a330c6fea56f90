package main

import (
	"bufio"
	"bytes"
	"context"
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
	connections := make([]net.Conn, l.clients)
	for i := range connections {
		c, err := net.DialTimeout("tcp", l.addresses[i%len(l.addresses)], 5*time.Second)
		if err != nil {
			return nil, 0, fmt.Errorf("load: %w", err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(l.duration + answerTimeout)) // fails if it is closed, as a write does
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
		return nil, 0, fmt.Errorf("load by %d clients: %w", l.clients, err)
	}
	return slices.Concat(perClient...), time.Since(began), nil
}

// client writes requests and reads answers itself, because it shares the cores with
// the services. The client of net/http hands both to other goroutines.
func (l load) client(ctx context.Context, number int, connection net.Conn, pace *pace) ([]answered, error) {
	in := bufio.NewReader(connection)
	var body bytes.Buffer
	all := make([]answered, 0, 1024)
	for {
		due, ok := pace.next(ctx)
		if !ok {
			return all, nil
		}
		if _, err := connection.Write(l.request(number)); err != nil {
			return nil, fmt.Errorf("send a request: %w", err)
		}
		response, err := http.ReadResponse(in, nil)
		if err == nil {
			body.Reset()
			_, err = body.ReadFrom(response.Body)
		}
		if err != nil {
			return nil, fmt.Errorf("read an answer: %w", err)
		}
		a := answered{since: due, took: time.Since(due)}
		if response.StatusCode != l.status {
			return nil, fmt.Errorf("answered %d, want %d: %s", response.StatusCode, l.status, body.Bytes())
		}
		if l.status == http.StatusCreated {
			if a.order, ok = readID(body.Bytes(), `"id":"`); !ok {
				return nil, fmt.Errorf("no id in %q", body.Bytes())
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

// latencies returns the times of the answers.
func latencies(all []answered) []time.Duration {
	times := make([]time.Duration, len(all))
	for i, a := range all {
		times[i] = a.took
	}
	return times
}

// postOrder returns a client's request to place an order.
func postOrder(client int) []byte {
	body := fmt.Sprintf(`{"user_id":"client-%d","product":"Laptop","quantity":1}`, client)
	return fmt.Appendf(nil, "POST /order HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

func get(path string) []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path)
}
