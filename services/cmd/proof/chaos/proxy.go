package main

import (
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

// proxy stands between one process and one server. It disturbs the link as networks
// do. It also reads the messages, so that it can stop the traffic at a step.
type proxy struct {
	server   string // address
	listener net.Listener
	newTap   func() tap
	wg       sync.WaitGroup

	gate sync.RWMutex // locked while the link holds all bytes back

	mu       sync.Mutex
	pairs    map[*pair]struct{}
	refusing bool
	delay    time.Duration // of each chunk, in each direction
	traps    []*trap
	standIn  standIn // nil: the server answers every request
}

// standIn returns the answer to a request in the server's place, or nil.
type standIn func(request []byte) (answer []byte)

// trap waits for a step. The proxy holds that message back, and all that follow in
// its direction: the owner of the trap ends the connection.
type trap struct {
	step   step
	sprung chan *pair // has room for one
}

// pair is a connection of the process with its connection to the server.
type pair struct {
	client, server net.Conn
	closed         chan struct{}
	close          func()
}

func newPair(client, server net.Conn) *pair {
	l := &pair{client: client, server: server, closed: make(chan struct{})}
	l.close = sync.OnceFunc(func() {
		close(l.closed)
		client.Close()
		server.Close()
	})
	return l
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
		return nil, fmt.Errorf("open a proxy to %s: %w", server, err)
	}
	p := &proxy{
		server: server, listener: listener, newTap: newTap,
		pairs: make(map[*pair]struct{}),
	}
	p.wg.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.join(client) })
		}
	})
	return p, nil
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) close() {
	p.listener.Close()
	p.refuse(true)
	p.cut()
	p.wg.Wait()
}

// join connects the client to the server until either ends.
func (p *proxy) join(client net.Conn) {
	server, err := net.DialTimeout("tcp", p.server, 5*time.Second)
	if err != nil {
		client.Close()
		return
	}
	l := newPair(client, server)
	p.locked(func() {
		if p.refusing {
			l.close()
		}
		p.pairs[l] = struct{}{}
	})
	t := p.newTap()
	var both sync.WaitGroup
	both.Go(func() { p.copy(l, server, client, &splitter{length: t.length}, t.request, p.answer) })
	both.Go(func() {
		p.copy(l, client, server, &splitter{length: t.length}, t.answer, func([]byte) []byte { return nil })
	})
	both.Wait()
	p.locked(func() { delete(p.pairs, l) })
}

// copy passes whole messages on until either side ends or a trap springs. The
// stand-in's answers go back to the sender.
func (p *proxy) copy(l *pair, to, from net.Conn, messages *splitter, stepOf func([]byte) step, instead standIn) {
	defer l.close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		messages.add(buf[:n])
		var out, back []byte
		var sprung *trap
		for m := messages.next(); m != nil && sprung == nil; m = messages.next() {
			if answer := instead(m); answer != nil {
				back = append(back, answer...)
			} else if sprung = p.spring(stepOf(m)); sprung == nil {
				out = append(out, m...)
			}
		}
		if len(out)+len(back) > 0 {
			p.await(l)
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

// await waits while the link holds bytes back.
func (p *proxy) await(l *pair) {
	p.gate.RLock()
	defer p.gate.RUnlock()
	p.mu.Lock()
	delay := p.delay
	p.mu.Unlock()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-l.closed:
		}
	}
}

func (p *proxy) locked(do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	do()
}

// set sets a trap for the step.
func (p *proxy) set(s step) *trap {
	t := &trap{step: s, sprung: make(chan *pair, 1)}
	p.locked(func() { p.traps = append(p.traps, t) })
	return t
}

func (p *proxy) unset(t *trap) {
	p.locked(func() { p.traps = slices.DeleteFunc(p.traps, func(other *trap) bool { return other == t }) })
}

// spring takes the first trap for the step.
func (p *proxy) spring(s step) *trap {
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
	p.locked(func() {
		for l := range p.pairs {
			l.close()
		}
	})
}

// refuse turns the refusal of new connections on or off.
func (p *proxy) refuse(on bool) { p.locked(func() { p.refusing = on }) }

// slow delays all bytes; 0 ends the delay.
func (p *proxy) slow(delay time.Duration) { p.locked(func() { p.delay = delay }) }

// answerBy lets the stand-in answer requests first.
func (p *proxy) answerBy(s standIn) { p.locked(func() { p.standIn = s }) }

func (p *proxy) answer(request []byte) []byte {
	p.mu.Lock()
	s := p.standIn
	p.mu.Unlock()
	if s == nil {
		return nil
	}
	return s(request)
}

// swallow keeps connections open but holds all bytes back, until flow passes them on.
func (p *proxy) swallow() { p.gate.Lock() }

func (p *proxy) flow() { p.gate.Unlock() }

// connections counts the process's connections.
func (p *proxy) connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.pairs)
}

// tap reads the messages of one connection.
type tap struct {
	request, answer func(message []byte) step // "" for any other message
	length          func([]byte) int          // as in splitter
}

// splitter cuts a stream of bytes into messages.
type splitter struct {
	// length returns the length of the message that begins here. 0 asks for more
	// bytes; less than 0 means that this is no message.
	length func([]byte) int

	rest []byte
	lost bool // the stream can't be read: it passes as it comes
}

// longestMessage exceeds every message: MongoDB's have 48 MB at most.
const longestMessage = 64 << 20

func (s *splitter) add(b []byte) { s.rest = append(s.rest, b...) }

// next returns the next whole message, or nil. It is valid until the next add.
func (s *splitter) next() []byte {
	if len(s.rest) == 0 {
		s.rest = nil // frees a long message
		return nil
	}
	n := len(s.rest)
	if !s.lost {
		n = s.length(s.rest)
		if n < 0 || n > longestMessage {
			s.lost, n = true, len(s.rest)
		}
	}
	if n == 0 || n > len(s.rest) {
		return nil
	}
	message := s.rest[:n:n]
	s.rest = s.rest[n:]
	return message
}
