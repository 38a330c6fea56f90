package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"example.com/orderflow/services/cmd/proof/harness"
)

const clients = 16

// load acts as the users. Each client places one order after the other. It repeats a
// request with an Idempotency-Key until it gets a final answer.
type load struct {
	seed      uint64
	rate      int // orders a second of all clients; 0: as many as possible
	processes []*process
	journal   *journal

	numbers atomic.Int64 // of requests

	mu       sync.Mutex
	requests []*request
	answered []string // ids of orders
	took     []time.Duration
	retries  int
	replays  int
	refused  int // answers with 503
}

// request is an order that a client places.
type request struct {
	Number   int
	UserID   string
	Product  string
	Quantity int
	key      string // empty: none, so the client asks once
	leaving  bool   // sent while the services were stopping

	Answers []answer // those with 201
	unknown bool     // no answer, or 503: the order may be stored or not
}

type answer struct {
	ID        string    `json:"id"`
	UserID    string    `json:"user_id"`
	Product   string    `json:"product"`
	Quantity  int       `json:"quantity"`
	CreatedAt time.Time `json:"created_at"`
}

// run places orders until ctx ends. It returns once every client has its final
// answer, or patience is over.
func (l *load) run(ctx context.Context, patience time.Duration) {
	began, first := time.Now(), int(l.numbers.Load())
	giveUp, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(patience, cancel) })()
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			transport := new(http.Transport)
			defer transport.CloseIdleConnections()
			random := rand.New(rand.NewPCG(l.seed, uint64(c)+1))
			for ctx.Err() == nil {
				r := l.next(c, random)
				if l.rate > 0 && !harness.Sleep(ctx, time.Until(began.Add(time.Duration(r.Number-first)*time.Second/time.Duration(l.rate)))) {
					return
				}
				l.add(r)
				l.place(giveUp, transport, r, random)
			}
		})
	}
	wg.Wait()
}

// next makes the next order. Four of five have a key.
func (l *load) next(client int, random *rand.Rand) *request {
	n := int(l.numbers.Add(1))
	r := &request{
		Number: n, UserID: fmt.Sprintf("client-%d", client),
		Product: fmt.Sprintf("chaos %d %d", l.seed, n), Quantity: 1 + random.IntN(1000),
	}
	if random.IntN(5) > 0 {
		r.key = fmt.Sprintf("chaos-%d-%d", l.seed, n)
	}
	return r
}

func (l *load) add(r *request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests = append(l.requests, r)
}

// place asks until it gets a final answer. Some clients ask once more, as if the
// answer was lost.
func (l *load) place(ctx context.Context, transport *http.Transport, r *request, random *rand.Rand) {
	repeat := r.key != "" && random.IntN(20) == 0
	pause := 20 * time.Millisecond
	for at := random.IntN(len(l.processes)); ; at++ {
		p, sent := l.processes[at%len(l.processes)], time.Now()
		o := r.send(ctx, transport, p.Addr)
		created := l.judge(p, r, sent, time.Since(sent), o)
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

// outcome is the result of a POST.
type outcome struct {
	status     int
	answer     answer
	replayed   bool
	retryAfter string
	err        error // no answer
}

// checkRetryAfter demands that a 503 says when to ask again.
func (l *load) checkRetryAfter(o outcome, where string) {
	if seconds, err := strconv.Atoi(o.retryAfter); err != nil || seconds <= 0 {
		l.journal.breaks(saysWhenAgain, "%s: Retry-After %q", where, o.retryAfter)
	}
}

// judge keeps the outcome of a POST and reports whether it was a 201. A 503, or no
// answer, needs an excuse.
func (l *load) judge(p *process, r *request, sent time.Time, took time.Duration, o outcome) (created bool) {
	where := fmt.Sprintf("%s at %s, %s, %v", r.Product, p.Name, sent.UTC().Format("15:04:05.000"), took.Round(time.Millisecond))
	if took > requestTimeout+2*time.Second {
		l.journal.breaks(answeredInTime, "%s", where)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case o.status == http.StatusCreated:
		l.took = append(l.took, took)
		if len(r.Answers) > 0 && !o.replayed {
			l.journal.breaks(replayIsMarked, "%s", where)
		}
		if o.replayed {
			l.replays++
		}
		r.Answers = append(r.Answers, o.answer)
		l.answered = append(l.answered, o.answer.ID)
		return true
	case o.err == nil && o.status != http.StatusServiceUnavailable:
		l.journal.breaks(only201And503, "%s: %d", where, o.status)
	case !l.excused(p, sent, sent.Add(took)):
		l.journal.breaks(failsForAReason, "%s: status %d, %v", where, o.status, o.err)
	}
	if o.status == http.StatusServiceUnavailable {
		l.refused++
		l.checkRetryAfter(o, where)
	}
	if !isRefused(o.err) {
		r.unknown = true
	}
	return false
}

// settleTime is how long the effects of a disturbance may last: the driver looks for
// a server that was down, and requests that waited run into their bound.
const settleTime = 12 * time.Second

// excused reports whether a POST may fail: the process or the store was disturbed.
// The broker's outage is no excuse.
func (l *load) excused(p *process, sent, end time.Time) bool {
	return l.journal.disturbed(sent, end, p.Name) ||
		l.journal.disturbed(sent.Add(-settleTime), end, linkName(p.Name, serverStore), serverStore)
}

func (r *request) send(ctx context.Context, transport *http.Transport, addr string) (o outcome) {
	ctx, cancel := context.WithTimeout(ctx, 3*requestTimeout)
	defer cancel()
	body, err := json.Marshal(map[string]any{"user_id": r.UserID, "product": r.Product, "quantity": r.Quantity})
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

// isRefused reports whether the client could not connect, so it sent nothing.
func isRefused(err error) bool {
	var dial *net.OpError
	return errors.As(err, &dial) && dial.Op == "dial"
}

// anyAnswered returns the id of a random order: half the time one of the latest.
func (l *load) anyAnswered() (string, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ids := l.answered
	if len(ids) == 0 {
		return "", false
	}
	if rand.IntN(2) == 0 {
		ids = ids[max(0, len(ids)-100):]
	}
	return ids[rand.IntN(len(ids))], true
}

// answers counts the answers with 201.
func (l *load) answers() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.answered)
}

func (l *load) anyAddress() string { return l.processes[rand.IntN(len(l.processes))].Addr }

// leave places orders, each on a new connection, until the services stop. A service
// that was asked must answer.
func (l *load) leave(ctx context.Context) {
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			transport := &http.Transport{DisableKeepAlives: true}
			random := rand.New(rand.NewPCG(l.seed, uint64(c)+1+clients))
			p := l.processes[c%len(l.processes)]
			for ctx.Err() == nil {
				r := l.next(c, random)
				r.leaving = true
				o := r.send(ctx, transport, p.Addr)
				switch {
				case o.status == http.StatusCreated:
					r.Answers = append(r.Answers, o.answer)
				case o.status == http.StatusServiceUnavailable:
					l.checkRetryAfter(o, p.Name+", while it stopped")
				case o.err == nil:
					l.journal.breaks(only201And503, "%s, while it stopped: %d", p.Name, o.status)
				}
				r.unknown = len(r.Answers) == 0
				l.add(r)
				if r.unknown {
					return
				}
			}
		})
	}
	wg.Wait()
}
