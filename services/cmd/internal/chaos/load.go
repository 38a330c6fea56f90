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
)

const clients = 16

// load is what users do: each client places one order after the other, and asks
// again, with the same Idempotency-Key, until it knows what has become of it.
type load struct {
	seed      uint64
	rate      int // orders a second, of all clients; 0: as many as there can be
	processes []*process
	timeline  *timeline
	ledger    *ledger

	numbers atomic.Int64
	began   time.Time

	mu       sync.Mutex
	requests []*request
	answered []string // ids of orders
	took     []time.Duration
	retries  int
	replays  int
	refused  int // answers with 503
}

// request is an order that a client wants.
type request struct {
	Number   int
	UserID   string
	Product  string
	Quantity int
	key      string // empty: none, so it is asked once
	leaving  bool   // sent while the services were stopping

	Answers []answer // all that were 201
	unknown bool     // no answer, or 503: it may be stored or not
}

type answer struct {
	ID        string    `json:"id"`
	UserID    string    `json:"user_id"`
	Product   string    `json:"product"`
	Quantity  int       `json:"quantity"`
	CreatedAt time.Time `json:"created_at"`
}

// run places orders until ctx ends. It returns once every client knows what has
// become of its last one, or patience is over.
func (l *load) run(ctx context.Context, patience time.Duration) {
	l.began = time.Now()
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
				if l.rate > 0 && !sleep(ctx, time.Until(l.began.Add(time.Duration(r.Number)*time.Second/time.Duration(l.rate)))) {
					return
				}
				l.add(r)
				l.place(giveUp, transport, r, random)
			}
		})
	}
	wg.Wait()
}

// next makes the next order: most with a key, some without.
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

// place asks until there is a final answer; some ask once more after it, as if
// they had lost it.
func (l *load) place(ctx context.Context, transport *http.Transport, r *request, random *rand.Rand) {
	repeat := r.key != "" && random.IntN(20) == 0
	at := random.IntN(len(l.processes))
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		created := l.post(ctx, transport, l.processes[at%len(l.processes)], r)
		switch {
		case created && repeat:
			repeat = false
			at++
			continue
		case created || r.key == "":
			return
		}
		l.mu.Lock()
		l.retries++
		l.mu.Unlock()
		at++
		if !sleep(ctx, pause) {
			l.ledger.breaks(finalAnswer, "%s: it was asked for until the end", r.Product)
			return
		}
	}
}

// post asks one process once, and reports whether the answer was 201.
func (l *load) post(ctx context.Context, transport *http.Transport, p *process, r *request) (created bool) {
	sent := time.Now()
	o := r.send(ctx, transport, p.address)
	return l.judge(p, r, sent, time.Since(sent), o)
}

// outcome is what came of a POST.
type outcome struct {
	status     int
	answer     answer
	replayed   bool
	retryAfter string
	err        error // no answer
}

func (o outcome) saysWhenAgain() bool {
	seconds, err := strconv.Atoi(o.retryAfter)
	return err == nil && seconds > 0
}

// judge keeps what came of a POST. What is no answer, or 503, must have a
// reason that excuses it.
func (l *load) judge(p *process, r *request, sent time.Time, took time.Duration, o outcome) (created bool) {
	where := fmt.Sprintf("%s at %s, %s, %v", r.Product, p.name, sent.UTC().Format("15:04:05.000"), took.Round(time.Millisecond))
	if took > requestTimeout+2*time.Second {
		l.ledger.breaks(answeredInTime, "%s", where)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case o.err == nil && o.status == http.StatusCreated:
		l.took = append(l.took, took)
		if len(r.Answers) > 0 && !o.replayed {
			l.ledger.breaks(replayIsMarked, "%s", where)
		}
		if o.replayed {
			l.replays++
		}
		r.Answers = append(r.Answers, o.answer)
		l.answered = append(l.answered, o.answer.ID)
		return true
	case o.err == nil && o.status != http.StatusServiceUnavailable:
		l.ledger.breaks(only201And503, "%s: %d", where, o.status)
	case !l.excused(p, sent, took):
		l.ledger.breaks(failsForAReason, "%s: status %d, %v", where, o.status, o.err)
	}
	if o.status == http.StatusServiceUnavailable {
		l.refused++
		if !o.saysWhenAgain() {
			l.ledger.breaks(saysWhenAgain, "%s: Retry-After %q", where, o.retryAfter)
		}
	}
	if !isRefused(o.err) {
		r.unknown = true
	}
	return false
}

// settleTime is how long after a disturbance its effects may last: the driver
// looks for a server that was away, requests that waited run into their bound.
const settleTime = 12 * time.Second

// excused reports whether a POST may have failed: the process was not there, or
// the store was not. That the broker was away is no excuse.
func (l *load) excused(p *process, sent time.Time, took time.Duration) bool {
	end := sent.Add(took)
	return l.timeline.disturbed(sent, end, p.name) ||
		l.timeline.disturbed(sent.Add(-settleTime), end, p.link(serverStore), serverStore)
}

func (r *request) send(ctx context.Context, transport *http.Transport, address string) (o outcome) {
	ctx, cancel := context.WithTimeout(ctx, 3*requestTimeout)
	defer cancel()
	body, err := json.Marshal(map[string]any{"user_id": r.UserID, "product": r.Product, "quantity": r.Quantity})
	if err != nil {
		return outcome{err: err}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/order", bytes.NewReader(body))
	if err != nil {
		return outcome{err: err}
	}
	request.GetBody = nil // or the transport would send it again by itself
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

// isRefused reports whether no connection was made, so nothing was sent.
func isRefused(err error) bool {
	var dial *net.OpError
	return errors.As(err, &dial) && dial.Op == "dial"
}

// anyAnswered returns the id of one of the latest orders, or of any.
func (l *load) anyAnswered() (string, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.answered) == 0 {
		return "", false
	}
	from := 0
	if rand.IntN(2) == 0 {
		from = max(0, len(l.answered)-100)
	}
	return l.answered[from+rand.IntN(len(l.answered)-from)], true
}

// answers returns how often an order was answered with 201.
func (l *load) answers() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.answered)
}

func (l *load) anyAddress() string { return l.processes[rand.IntN(len(l.processes))].address }

// leave asks, each time on a new connection, until the services take no more.
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
				switch o := r.send(ctx, transport, p.address); {
				case o.status == http.StatusCreated:
					r.Answers = append(r.Answers, o.answer)
				case o.err == nil && o.status != http.StatusServiceUnavailable:
					l.ledger.breaks(only201And503, "%s, while it stopped: %d", p.name, o.status)
				case o.err == nil && !o.saysWhenAgain():
					l.ledger.breaks(saysWhenAgain, "%s, while it stopped: Retry-After %q", p.name, o.retryAfter)
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
