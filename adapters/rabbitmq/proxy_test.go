package rabbitmq_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"net"
	"sync"
	"testing"
	"time"
)

// proxy forwards bytes between the adapter and the broker. It can cut, delay and
// refuse connections, and send methods as if it were the broker.
type proxy struct {
	address  string
	listener net.Listener
	broker   string
	wg       sync.WaitGroup

	mu       sync.Mutex
	frameMax uint32        // replaces the frame size that the broker proposes; 0: unchanged
	flowing  chan struct{} // closed while bytes flow
	waiting  int           // directions in which bytes are kept back
	refusing bool
	refusals int
	clients  []net.Conn
	brokers  []net.Conn
}

// newProxy returns a proxy; with a configuration, it speaks TLS.
func newProxy(t testing.TB, config *tls.Config) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{address: listener.Addr().String(), listener: listener, broker: brokerAddress(t), flowing: make(chan struct{})}
	close(p.flowing)
	if config != nil {
		p.listener = tls.NewListener(listener, config)
	}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		p.listener.Close()
		p.flow()
		p.cut()
		p.wg.Wait()
	})
	return p
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
	defer client.Close()
	broker, err := net.Dial("tcp", p.broker)
	if err != nil {
		return
	}
	defer broker.Close()
	p.mu.Lock()
	refusing := p.refusing
	if refusing {
		p.refusals++
	}
	p.clients = append(p.clients, client)
	p.brokers = append(p.brokers, broker)
	p.mu.Unlock()
	if refusing {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.copy(broker, client) })
	both.Go(func() { p.copy(client, broker) })
	both.Wait()
}

func (p *proxy) copy(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		p.propose(buf[:n])
		flowing := p.flowing
		p.waiting++
		p.mu.Unlock()
		<-flowing
		p.mu.Lock()
		p.waiting--
		p.mu.Unlock()
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// propose changes the frame size in the broker's proposal.
func (p *proxy) propose(passing []byte) {
	tune := []byte{1, 0, 0, 0, 0, 0, 12, 0, 10, 0, 30}
	if at := bytes.Index(passing, tune); p.frameMax > 0 && at >= 0 {
		binary.BigEndian.PutUint32(passing[at+len(tune)+2:], p.frameMax)
	}
}

// cut closes every connection.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range append(p.clients, p.brokers...) {
		c.Close()
	}
	p.clients, p.brokers = nil, nil
}

// refuse starts or stops to close new connections immediately.
func (p *proxy) refuse(refusing bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusing = refusing
}

// refused returns how many connections were closed immediately.
func (p *proxy) refused() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refusals
}

// swallow keeps connections open, but forwards no more bytes.
func (p *proxy) swallow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flowing = make(chan struct{})
}

// held reports whether bytes are kept back.
func (p *proxy) held() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waiting > 0
}

// flow forwards the bytes that swallow has kept back, and all later ones.
func (p *proxy) flow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.flowing:
	default:
		close(p.flowing)
	}
}

// say sends every client one method with its arguments, as if the broker did. The
// broker should be silent at that moment.
func (p *proxy) say(t testing.TB, channel, class, method uint16, arguments ...byte) {
	t.Helper()
	frame := []byte{1} // a method
	frame = binary.BigEndian.AppendUint16(frame, channel)
	frame = binary.BigEndian.AppendUint32(frame, uint32(4+len(arguments)))
	frame = binary.BigEndian.AppendUint16(frame, class)
	frame = binary.BigEndian.AppendUint16(frame, method)
	frame = append(append(frame, arguments...), 0xCE)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.clients {
		if _, err := c.Write(frame); err != nil {
			t.Logf("a client has disconnected: %v", err)
		}
	}
}

func shortText(s string) []byte { return append([]byte{byte(len(s))}, s...) }

func (p *proxy) block(t testing.TB)   { p.say(t, 0, 10, 60, shortText("low on memory")...) }
func (p *proxy) unblock(t testing.TB) { p.say(t, 0, 10, 61) }

// closeConnections has the broker close the connections, as an operator does.
func (p *proxy) closeConnections(t testing.TB) {
	code := []byte{320 >> 8, 320 & 0xFF}
	p.say(t, 0, 10, 50, append(append(code, shortText("CONNECTION_FORCED - closed by an operator")...), 0, 0, 0, 0)...)
}

// confirmMessage has the broker confirm the message of that number.
func (p *proxy) confirmMessage(t testing.TB, number uint64) {
	p.say(t, 1, 60, 80, append(binary.BigEndian.AppendUint64(nil, number), 0)...)
}

// refuseMessage has the broker refuse the message of that number.
func (p *proxy) refuseMessage(t testing.TB, number uint64) {
	p.say(t, 1, 60, 120, append(binary.BigEndian.AppendUint64(nil, number), 0)...)
}

// troubles end a connection.
var troubles = map[string]func(*testing.T, *proxy){
	"when the connection is cut":            func(_ *testing.T, p *proxy) { p.cut() },
	"when the broker closes the connection": func(t *testing.T, p *proxy) { p.closeConnections(t) },
	"when the broker was unreachable": func(_ *testing.T, p *proxy) {
		p.refuse(true)
		p.cut()
		time.AfterFunc(500*time.Millisecond, func() { p.refuse(false) })
	},
}
