package mongodb_test

import (
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy stands between the store and its server, to be cut or to lose answers.
type proxy struct {
	url string

	listener net.Listener
	server   string
	mute     atomic.Bool // what the server answers is lost
	wg       sync.WaitGroup

	mu   sync.Mutex
	cut  bool // connections are closed as they come
	open map[net.Conn]bool
}

// newProxy starts a proxy before the server of that URL.
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
	query.Set("directConnection", "true") // do not go round the proxy
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
			_, _ = io.Copy(server, client)
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

// keep reports whether the connection may stand.
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

// Cut closes every connection, and those to come.
func (p *proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	for c := range p.open {
		_ = c.Close()
	}
	clear(p.open)
}

// Heal lets connections through again, and answers.
func (p *proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = false
	p.mute.Store(false)
}
