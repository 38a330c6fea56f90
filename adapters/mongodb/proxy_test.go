package mongodb_test

import (
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// proxy forwards messages between the store and its server. It can cut connections,
// lose the server's answers, or answer commands itself.
type proxy struct {
	url string

	listener net.Listener
	server   string
	mute     atomic.Bool // drops the server's answers
	answers  atomic.Pointer[answers]
	wg       sync.WaitGroup

	mu   sync.Mutex
	cut  bool // closes new connections immediately
	open map[net.Conn]bool
}

// answers returns the answer to a command; nil: the server answers.
type answers func(command bson.Raw) bson.D

// refuse makes the proxy answer the named commands with an error code.
func (p *proxy) refuse(code int, commands ...string) {
	answer := answers(func(command bson.Raw) bson.D {
		if !slices.Contains(commands, names([]bson.Raw{command})) {
			return nil
		}
		return bson.D{{Key: "ok", Value: 0}, {Key: "code", Value: code}, {Key: "errmsg", Value: "refused by the proxy"}}
	})
	p.answers.Store(&answer)
}

// newProxy starts a proxy for the server of the URL.
func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{server: u.Host, open: make(map[net.Conn]bool)}
	if p.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	u.Host = p.listener.Addr().String()
	query := u.Query()
	query.Set("directConnection", "true") // don't bypass the proxy
	u.RawQuery = query.Encode()
	p.url = u.String()
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		_ = p.listener.Close()
		p.Cut()
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
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		if !p.keep(client, server) {
			continue
		}
		p.wg.Go(func() {
			p.pass(client, server)
			_ = server.Close()
		})
		p.wg.Go(func() {
			defer client.Close()
			buffer := make([]byte, 32<<10)
			for {
				n, err := server.Read(buffer)
				if err != nil {
					return
				}
				if p.mute.Load() {
					continue
				}
				if _, err := client.Write(buffer[:n]); err != nil {
					return
				}
			}
		})
	}
}

// pass sends the client's messages to the server, except those that the proxy
// answers.
func (p *proxy) pass(client, server net.Conn) {
	const header, flags, kind, opMsg = 16, 4, 1, 2013
	number := binary.LittleEndian.Uint32
	for {
		message := make([]byte, header)
		if _, err := io.ReadFull(client, message); err != nil {
			return
		}
		message = append(message, make([]byte, number(message)-header)...)
		if _, err := io.ReadFull(client, message[header:]); err != nil {
			return
		}
		answer := p.answers.Load()
		if number(message[12:]) == opMsg && answer != nil {
			command := message[header+flags+kind:]
			if body := (*answer)(bson.Raw(command[:number(command)])); body != nil {
				document, err := bson.Marshal(body)
				if err != nil {
					panic(err)
				}
				reply := make([]byte, header+flags+kind, header+flags+kind+len(document))
				binary.LittleEndian.PutUint32(reply, uint32(cap(reply)))
				copy(reply[8:], message[4:8]) // the id of the request
				binary.LittleEndian.PutUint32(reply[12:], opMsg)
				if _, err := client.Write(append(reply, document...)); err != nil {
					return
				}
				continue
			}
		}
		if _, err := server.Write(message); err != nil {
			return
		}
	}
}

// keep reports whether new connections are allowed.
func (p *proxy) keep(connections ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range connections {
		if p.cut {
			_ = c.Close()
		} else {
			p.open[c] = true
		}
	}
	return !p.cut
}

// Cut closes all connections, and refuses new ones.
func (p *proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	for c := range p.open {
		_ = c.Close()
	}
	clear(p.open)
}

// Heal ends what Cut, mute and answers do.
func (p *proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = false
	p.mute.Store(false)
	p.answers.Store(nil)
}
