package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"example.com/orderflow/services/cmd/proof/harness"
)

// proxy stands between one process and one server. It disturbs the link as networks
// do. It also reads the messages, so that it can stop the traffic at a step.
type proxy struct {
	server   string // address
	listener net.Listener
	newTap   func() tap
	wg       sync.WaitGroup

	gate     sync.RWMutex // locked while the link holds all bytes back
	slow     atomic.Bool  // by linkDelay in each direction
	refusing atomic.Bool  // new connections
	standIn  atomic.Pointer[standIn]

	mu    sync.Mutex
	pairs map[*pair]bool
	traps map[*trap]bool
}

// linkDelay is the latency that a slow link adds in each direction.
const linkDelay = 150 * time.Millisecond

// reader reads a whole message.
type reader func(*bufio.Reader) (message []byte, err error)

// tap reads the messages of one connection.
type tap struct {
	read            reader
	request, answer func(message []byte) step // "" for any other message
}

// standIn returns the answer to a request in the server's place, or nil.
type standIn func(request []byte) (answer []byte)

func serverAnswers([]byte) []byte { return nil }

// trap waits for a step. The proxy holds that message back, and all that follow in
// its direction: the owner of the trap ends the connection.
type trap struct {
	step   step
	sprung chan *pair // has room for one
}

// pair is a connection of the process with its connection to the server.
type pair struct {
	context.Context        // done when the pair has ended
	end             func() // closes both
}

func newProxy(server string, newTap func() tap) (*proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open a proxy to %s: %w", server, err)
	}
	p := &proxy{server: server, listener: listener, newTap: newTap, pairs: make(map[*pair]bool), traps: make(map[*trap]bool)}
	p.answerBy(serverAnswers)
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
	p.refusing.Store(true)
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
	ctx, cancel := context.WithCancel(context.Background())
	l := &pair{ctx, func() {
		cancel()
		client.Close()
		server.Close()
	}}
	p.locked(func() { p.pairs[l] = true })
	if p.refusing.Load() {
		l.end()
	}
	t := p.newTap()
	var both sync.WaitGroup
	both.Go(func() { p.copy(l, server, client, t.read, t.request, p.answer) })
	both.Go(func() { p.copy(l, client, server, t.read, t.answer, serverAnswers) })
	both.Wait()
	p.locked(func() { delete(p.pairs, l) })
}

// copy passes whole messages on until either side ends or a trap springs. The
// stand-in's answers go back to the sender.
func (p *proxy) copy(l *pair, to, from net.Conn, read reader, stepOf func([]byte) step, instead standIn) {
	defer l.end()
	messages := bufio.NewReaderSize(from, 64<<10)
	var out, back []byte
	for {
		m, err := read(messages)
		if err != nil {
			_, _ = to.Write(out) // what came before half a message
			return
		}
		var held *trap
		if answer := instead(m); answer != nil {
			back = append(back, answer...)
		} else if held = p.spring(stepOf(m)); held == nil {
			out = append(out, m...)
		}
		if held == nil && messages.Buffered() > 0 {
			continue
		}
		p.pause(l)
		_, err = to.Write(out)
		_, backErr := from.Write(back)
		if err != nil || backErr != nil {
			return
		}
		out, back = nil, nil
		if held != nil {
			held.sprung <- l
			<-l.Done()
			return
		}
	}
}

// pause waits while the link holds bytes back, and for the delay of a slow one.
func (p *proxy) pause(l *pair) {
	p.gate.RLock()
	defer p.gate.RUnlock()
	if p.slow.Load() {
		harness.Sleep(l, linkDelay)
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
	p.locked(func() { p.traps[t] = true })
	return t
}

func (p *proxy) unset(t *trap) { p.locked(func() { delete(p.traps, t) }) }

// spring takes a trap for the step.
func (p *proxy) spring(s step) *trap {
	p.mu.Lock()
	defer p.mu.Unlock()
	for t := range p.traps {
		if t.step == s {
			delete(p.traps, t)
			return t
		}
	}
	return nil
}

// cut closes every connection.
func (p *proxy) cut() {
	p.locked(func() {
		for l := range p.pairs {
			l.end()
		}
	})
}

// hold keeps connections open but holds all bytes back, until it passes them on.
func (p *proxy) hold(on bool) {
	if on {
		p.gate.Lock()
	} else {
		p.gate.Unlock()
	}
}

// answerBy lets the stand-in answer requests first.
func (p *proxy) answerBy(s standIn) { p.standIn.Store(&s) }

func (p *proxy) answer(request []byte) []byte { return (*p.standIn.Load())(request) }

// connections counts the process's connections.
func (p *proxy) connections() (n int) {
	p.locked(func() { n = len(p.pairs) })
	return n
}

// longestMessage exceeds every message: MongoDB's have 48 MB at most.
const longestMessage = 64 << 20

// readMessage reads a message whose header says how long all of it is.
func readMessage(r *bufio.Reader, header int, length func(header []byte) int) ([]byte, error) {
	head, err := r.Peek(header)
	if err != nil {
		return nil, err
	}
	n := length(head)
	if n < header || n > longestMessage {
		return nil, fmt.Errorf("read a message: %x does not begin one", head)
	}
	message := make([]byte, n)
	_, err = io.ReadFull(r, message)
	return message, err
}
