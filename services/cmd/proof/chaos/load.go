package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"example.com/orderflow/services/cmd/proof/harness"
)

// usualClients is the number of clients, unless a scenario has more.
const usualClients = 16

// load acts as the users. Each client places one order after the other. It repeats a
// request with an Idempotency-Key until it gets a final answer.
type load struct {
	seed      uint64
	clients   int
	users     int // whose orders are placed, in turn
	rate      int // orders a second of all clients; 0: as many as possible
	processes []*process
	journal   *journal

	numbers atomic.Int64 // of requests

	mu       sync.Mutex
	requests []*request
	answered []Order // one for each 201
	settled  int     // the first of them were settled before the channels had queues
	took     []time.Duration
	retries  int
	replays  int
	refused  int // answers with 503
}

// request is an order that a client places.
type request struct {
	Order          // without an id and a time
	key     string // empty: none, so the client asks once
	leaving bool   // sent while the services were stopping
	answers []Order
}

// Order is asked for, answered or stored. Its name is exported for the package bson.
type Order struct {
	ID        string    `json:"id,omitempty" bson:"_id"`
	UserID    string    `json:"user_id" bson:"user_id"`
	Product   string    `json:"product" bson:"product"`
	Quantity  int       `json:"quantity" bson:"quantity"`
	CreatedAt time.Time `json:"created_at,omitzero" bson:"created_at"`
}

// run places orders until ctx ends. It returns once every client has its final
// answer, or patience is over.
func (l *load) run(ctx context.Context, patience time.Duration) {
	began, first := time.Now(), l.numbers.Load()
	giveUp, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(patience, cancel) })()
	l.each(func(c int, transport *http.Transport, random *rand.Rand) {
		for ctx.Err() == nil {
			n := l.numbers.Add(1)
			if l.rate > 0 && !harness.Sleep(ctx, time.Until(began.Add(time.Duration(n-first)*time.Second/time.Duration(l.rate)))) {
				return
			}
			l.place(giveUp, transport, l.request(n, random), random)
		}
	})
}

// leave places orders, each on a new connection, until the services stop. A service
// that was asked must answer.
func (l *load) leave(ctx context.Context) {
	l.each(func(c int, transport *http.Transport, random *rand.Rand) {
		transport.DisableKeepAlives = true
		for created := true; created && ctx.Err() == nil; {
			r := l.request(l.numbers.Add(1), random)
			r.leaving = true
			created = l.ask(ctx, transport, r, l.processes[c%len(l.processes)])
		}
	})
}

// each does the clients' work, side by side.
func (l *load) each(work func(client int, transport *http.Transport, random *rand.Rand)) {
	var wg sync.WaitGroup
	for c := range l.clients {
		wg.Go(func() {
			transport := new(http.Transport)
			defer transport.CloseIdleConnections()
			work(c, transport, rand.New(rand.NewPCG(l.seed, uint64(c)+1)))
		})
	}
	wg.Wait()
}

// request makes a request. Four of five have a key.
func (l *load) request(number int64, random *rand.Rand) *request {
	r := &request{Order: Order{
		UserID:  userID(int(number) % max(1, l.users)),
		Product: fmt.Sprintf("chaos %d %d", l.seed, number), Quantity: 1 + random.IntN(1000),
	}}
	if random.IntN(5) > 0 {
		r.key = fmt.Sprintf("chaos-%d-%d", l.seed, number)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests = append(l.requests, r)
	return r
}

// place asks until it gets a final answer. Some clients ask once more, as if the
// answer was lost.
func (l *load) place(ctx context.Context, transport *http.Transport, r *request, random *rand.Rand) {
	repeat := r.key != "" && random.IntN(20) == 0
	pause := 20 * time.Millisecond
	for at := random.IntN(len(l.processes)); ; at++ {
		created := l.ask(ctx, transport, r, l.processes[at%len(l.processes)])
		if created && repeat {
			repeat = false
			continue
		}
		if created || r.key == "" {
			return
		}
		l.mu.Lock()
		l.retries++
		l.mu.Unlock()
		if !harness.Sleep(ctx, pause) {
			l.journal.breaks(finalAnswer, "%s: no final answer until the end", r.Product)
			return
		}
		pause = min(2*pause, time.Second)
	}
}

// ask asks the process and reports whether it answered with 201.
func (l *load) ask(ctx context.Context, transport *http.Transport, r *request, p *process) (created bool) {
	sent := time.Now()
	o := r.send(ctx, transport, p.Addr)
	return l.judge(p.Name, r, sent, time.Since(sent), o)
}

// outcome is the result of a POST.
type outcome struct {
	status     int
	answer     Order
	replayed   bool
	retryAfter string
	err        error // no answer
}

// judge keeps the outcome of a POST and reports whether it was a 201. A 503, or no
// answer, needs an excuse.
func (l *load) judge(process string, r *request, sent time.Time, took time.Duration, o outcome) (created bool) {
	where := fmt.Sprintf("%s at %s, %s, %v", r.Product, process, sent.UTC().Format("15:04:05.000"), took.Round(time.Millisecond))
	if took > requestTimeout+2*time.Second {
		l.journal.breaks(answeredInTime, "%s", where)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case o.status == http.StatusCreated:
		l.took = append(l.took, took)
		if len(r.answers) > 0 && !o.replayed {
			l.journal.breaks(replayIsMarked, "%s", where)
		}
		if o.replayed {
			l.replays++
		}
		r.answers = append(r.answers, o.answer)
		l.answered = append(l.answered, o.answer)
		return true
	case o.err == nil && o.status != http.StatusServiceUnavailable:
		l.journal.breaks(only201And503, "%s: %d", where, o.status)
	case !l.excused(process, sent, sent.Add(took)):
		l.journal.breaks(failsForAReason, "%s: status %d, %v", where, o.status, o.err)
	}
	if o.status == http.StatusServiceUnavailable {
		l.refused++
		if seconds, err := strconv.Atoi(o.retryAfter); err != nil || seconds <= 0 {
			l.journal.breaks(saysWhenAgain, "%s: Retry-After %q", where, o.retryAfter)
		}
	}
	return false
}

// settleTime is how long the effects of a disturbance may last: the driver looks for
// a server that was down, and requests that waited run into their bound.
const settleTime = 12 * time.Second

// excused reports whether a POST may fail: the process or the store was disturbed.
// The broker's outage is no excuse.
func (l *load) excused(process string, sent, end time.Time) bool {
	return l.journal.disturbed(sent, end, process) ||
		l.journal.disturbed(sent.Add(-settleTime), end, linkName(process, serverStore), serverStore)
}

func (r *request) send(ctx context.Context, transport *http.Transport, addr string) (o outcome) {
	ctx, cancel := context.WithTimeout(ctx, 3*requestTimeout)
	defer cancel()
	body, err := json.Marshal(r.Order)
	if err != nil {
		return outcome{err: err}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/order", bytes.NewReader(body))
	if err != nil {
		return outcome{err: err}
	}
	request.GetBody = nil // the transport must not repeat the request
	request.Header.Set("Content-Type", "application/json")
	if r.key != "" {
		request.Header.Set("Idempotency-Key", r.key)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return outcome{err: err}
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&o.answer); err != nil {
		return outcome{err: fmt.Errorf("read the answer: %w", err)}
	}
	o.status, o.replayed = response.StatusCode, response.Header.Get("Idempotency-Replayed") == "true"
	o.retryAfter = response.Header.Get("Retry-After")
	return o
}

// anyAnswered returns one of the answered orders that concern all channels: half the
// time one of the latest.
func (l *load) anyAnswered() (o Order, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	orders := l.answered[l.settled:]
	if len(orders) == 0 {
		return o, false
	}
	if rand.IntN(2) == 0 {
		orders = orders[max(0, len(orders)-100):]
	}
	return orders[rand.IntN(len(orders))], true
}

// forgetAnswered makes anyAnswered return later orders only.
func (l *load) forgetAnswered() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settled = len(l.answered)
}

// answers counts the answers with 201.
func (l *load) answers() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.answered)
}
