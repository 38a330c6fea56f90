package main

import (
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

// proxy stands between one process and one server. It can disturb the link in
// every way a network does, and it reads what passes, so that it can stop the
// traffic at a step that matters.
type proxy struct {
	server   string // address
	listener net.Listener
	newTap   func() tap
	wg       sync.WaitGroup

	mu       sync.Mutex
	pairs    map[*pair]struct{}
	refusing bool
	delay    time.Duration // of each chunk, in each direction
	flowing  chan struct{} // closed while bytes flow
	traps    []*trap
	standIn  standIn // nil: every request reaches the server
}

// standIn returns the answer to a request that the server does not get, and nil
// for one that it gets.
type standIn func(request []byte) (answer []byte)

// tap reads the messages of one connection.
type tap struct {
	request, answer func(message []byte) step // what a message is; "" if it is of no interest
	length          func([]byte) int          // as in splitter
}

// trap waits for a step. The message that is the step is not passed on, nor
// what follows it in its direction: whoever set the trap ends the connection.
type trap struct {
	step   step
	sprung chan *pair // has room for one
}

// pair is a connection of the process with that to the server.
type pair struct {
	client, server net.Conn
	closed         chan struct{}
	once           sync.Once
}

func (p *pair) close() {
	p.once.Do(func() {
		close(p.closed)
		p.client.Close()
		p.server.Close()
	})
}

func (p *pair) isClosed() bool {
	select {
	case <-p.closed:
		return true
	default:
		return false
	}
}

func newProxy(server string, newTap func() tap) (*proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open proxy to %s: %w", server, err)
	}
	p := &proxy{
		server: server, listener: listener, newTap: newTap,
		pairs: make(map[*pair]struct{}), flowing: make(chan struct{}),
	}
	close(p.flowing)
	p.wg.Go(p.accept)
	return p, nil
}

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) close() {
	p.listener.Close()
	p.refuse(true)
	p.cut()
	p.wg.Wait()
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.join(client) })
	}
}

func (p *proxy) join(client net.Conn) {
	server, err := net.DialTimeout("tcp", p.server, 5*time.Second)
	if err != nil {
		client.Close()
		return
	}
	l := &pair{client: client, server: server, closed: make(chan struct{})}
	p.mu.Lock()
	refusing := p.refusing
	if !refusing {
		p.pairs[l] = struct{}{}
	}
	p.mu.Unlock()
	if refusing {
		l.close()
		return
	}
	t := p.newTap()
	var both sync.WaitGroup
	both.Go(func() { p.copy(l, server, client, &splitter{length: t.length}, t.request, p.answer) })
	both.Go(func() { p.copy(l, client, server, &splitter{length: t.length}, t.answer, nil) })
	both.Wait()
	p.mu.Lock()
	delete(p.pairs, l)
	p.mu.Unlock()
}

// copy passes whole messages on until either side ends or a trap springs. What
// instead answers goes back to where the message came from.
func (p *proxy) copy(l *pair, to, from net.Conn, messages *splitter, stepOf func([]byte) step, instead standIn) {
	defer l.close()
	buf := make([]byte, 64<<10)
	var out, back []byte
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		messages.add(buf[:n])
		out, back = out[:0], back[:0]
		var sprung *trap
		for m := messages.next(); m != nil && sprung == nil; m = messages.next() {
			if instead != nil {
				if answer := instead(m); answer != nil {
					back = append(back, answer...)
					continue
				}
			}
			if sprung = p.spring(stepOf(m)); sprung == nil {
				out = append(out, m...)
			}
		}
		if len(out)+len(back) > 0 {
			if !p.pass(l) {
				return
			}
			if _, err := to.Write(out); err != nil {
				return
			}
			if _, err := from.Write(back); err != nil {
				return
			}
		}
		if sprung != nil {
			sprung.sprung <- l
			<-l.closed
			return
		}
	}
}

// pass waits as long as the link holds bytes back, and reports false if the
// connection has ended meanwhile.
func (p *proxy) pass(l *pair) bool {
	p.mu.Lock()
	flowing, delay := p.flowing, p.delay
	p.mu.Unlock()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-l.closed:
			return false
		}
	}
	select {
	case <-flowing:
		return true
	case <-l.closed:
		return false
	}
}

// set has the proxy wait for the step; unset it when it is waited for no more.
func (p *proxy) set(s step) *trap {
	t := &trap{step: s, sprung: make(chan *pair, 1)}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.traps = append(p.traps, t)
	return t
}

func (p *proxy) unset(t *trap) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.traps = slices.DeleteFunc(p.traps, func(other *trap) bool { return other == t })
}

// spring takes the first trap that waits for the step.
func (p *proxy) spring(s step) *trap {
	if s == "" {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.traps, func(t *trap) bool { return t.step == s })
	if i < 0 {
		return nil
	}
	t := p.traps[i]
	p.traps = slices.Delete(p.traps, i, i+1)
	return t
}

// cut closes every connection.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.pairs {
		l.close()
	}
}

// refuse has new connections closed at once, or no more.
func (p *proxy) refuse(refusing bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusing = refusing
}

// slow delays what passes; 0: no more.
func (p *proxy) slow(delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = delay
}

// answerBy has requests answered by the stand-in first.
func (p *proxy) answerBy(s standIn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.standIn = s
}

func (p *proxy) answer(request []byte) []byte {
	p.mu.Lock()
	s := p.standIn
	p.mu.Unlock()
	if s == nil {
		return nil
	}
	return s(request)
}

// swallow keeps connections open, but lets nothing through, until flow.
func (p *proxy) swallow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.flowing:
		p.flowing = make(chan struct{})
	default: // it is swallowed already
	}
}

// flow lets through what swallow has kept back, and all that follows.
func (p *proxy) flow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.flowing:
	default:
		close(p.flowing)
	}
}

// connections returns how many connections the process has.
func (p *proxy) connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.pairs)
}
