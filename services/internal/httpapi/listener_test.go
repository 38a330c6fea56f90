package httpapi

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// offered is a listener that accepts the connections from conns. A nil connection
// makes Accept fail.
type offered struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newOffered() *offered { return &offered{make(chan net.Conn), make(chan struct{})} }

func (o *offered) Accept() (net.Conn, error) {
	select {
	case c := <-o.conns:
		if c == nil {
			return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
		}
		return c, nil
	case <-o.closed:
		return nil, net.ErrClosed
	}
}

func (o *offered) Close() error {
	close(o.closed)
	return nil
}

func (o *offered) Addr() net.Addr { return &net.TCPAddr{} }

func (o *offered) dial() net.Conn {
	client, server := net.Pipe()
	o.conns <- server
	return client
}

// ended reports whether the server has closed the connection.
func ended(c net.Conn) bool {
	_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := c.Read(make([]byte, 1))
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe)
}

// newBounded returns a bounded listener over an offered one, and its log.
func newBounded(connections int) (*boundedListener, *offered, *bytes.Buffer) {
	var log bytes.Buffer
	listener := newOffered()
	return newBoundedListener(listener, func() bound { return fixedBound(connections) }, slog.New(slog.NewTextHandler(&log, nil))), listener, &log
}

// serveBounded answers 404 on the listener's connections until stop is called.
func serveBounded(l *boundedListener) (stop func()) {
	server := &http.Server{Handler: http.NotFoundHandler(), ConnState: l.noteState, ConnContext: withConnection}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	return func() {
		server.Close()
		<-served
	}
}

func TestBoundedListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := fixedBound(8)
		first, most := limit.connections, limit.spare()
		l, listener, log := newBounded(limit.connections)
		defer serveBounded(l)()

		var within, spare []net.Conn
		for range first {
			within = append(within, listener.dial())
		}
		for range most + 1 {
			spare = append(spare, listener.dial())
			synctest.Wait()
		}
		if ended(spare[0]) {
			t.Error("a spare connection is closed before spareTime is over")
		}
		spare = append(spare, listener.dial())
		time.Sleep(spareTime)
		for i, c := range append(within, spare...) {
			if want := i == first || i == first+1; ended(c) != want {
				t.Errorf("connection %d is closed: %v", i, !want)
			}
		}
		if n := strings.Count(log.String(), "too many connections"); n != 1 || !strings.Contains(log.String(), "8 are open, as many as this address serves") {
			t.Errorf("%d lines: %s", n, log.String())
		}
		within[0].Close()
		synctest.Wait()
		again := listener.dial()
		synctest.Wait()
		if len(l.within) != first || l.spare != most || ended(again) {
			t.Errorf("%d and %d are open; a connection within the bound is closed: %v", len(l.within), l.spare, ended(again))
		}
		for _, c := range append(append(within, spare...), again) {
			c.Close()
		}
		synctest.Wait()
		if len(l.within) != 0 || l.spare != 0 || len(l.silent) != 0 || !strings.Contains(log.String(), "served again") {
			t.Errorf("%d, %d and %d are left; %s", len(l.within), l.spare, len(l.silent), log.String())
		}
	})
}

// At the bound, a new connection replaces the one that has been idle for longest.
func TestNewConnectionsReplaceIdleOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, listener, log := newBounded(4)
		defer serveBounded(l)()

		ask := func(c net.Conn) {
			go c.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
			if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
				t.Errorf("no answer: %v", err)
			}
			synctest.Wait()
		}
		silent, idle := listener.dial(), listener.dial()
		time.Sleep(time.Millisecond)
		ask(idle)
		time.Sleep(time.Millisecond)
		busy, fresh := listener.dial(), listener.dial()
		go busy.Write([]byte("GET / HTTP/1.1\r\n")) // and no more
		time.Sleep(idleTime)
		ask(fresh)
		first := listener.dial()
		synctest.Wait()
		ask(first)
		second := listener.dial()
		synctest.Wait()
		ask(second)
		for i, c := range []net.Conn{silent, idle, busy, fresh, first, second} {
			if want := i < 2; ended(c) != want {
				t.Errorf("connection %d is closed: %v", i, !want)
			}
		}
		if len(l.within) != 4 || l.spare != 0 || strings.Count(log.String(), "too many connections") != 1 {
			t.Errorf("%d and %d are open; %s", len(l.within), l.spare, log.String())
		}
	})
}

// Closing the listener ends an Accept that waits for room, and closes its connection.
func TestBoundedListenerCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, listener, _ := newBounded(0)
		l.spare = fixedBound(0).spare() // all in use
		accepted := make(chan error)
		go func() {
			_, err := l.Accept()
			accepted <- err
		}()
		waiting := listener.dial()
		synctest.Wait()
		l.Close()
		if err := <-accepted; !errors.Is(err, net.ErrClosed) || !ended(waiting) {
			t.Errorf("got %v", err)
		}
	})
}

// Accept logs at once, and then once a minute, that the process can't open files.
func TestTooManyOpenFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, listener, log := newBounded(1)
		for range 200 {
			go func() { listener.conns <- nil }()
			if _, err := l.Accept(); !errors.Is(err, syscall.EMFILE) {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		client, server := net.Pipe()
		defer client.Close()
		go func() { listener.conns <- server }()
		if c, err := l.Accept(); err != nil || c.Close() != nil {
			t.Error(err)
		}
		if n := strings.Count(log.String(), "level=WARN"); n != 4 || strings.Count(log.String(), "too many open files") != 4 || !strings.Contains(log.String(), "accepted again") {
			t.Errorf("%d lines: %s", n, log.String())
		}
	})
}

func TestSharedBound(t *testing.T) {
	for _, tt := range []struct {
		files, servers, want, spare int
		byFiles                     bool
	}{
		{64, 1, 14, 7, true}, {64, 2, 7, 3, true}, {16, 2, 1, 1, true}, {256, 1, 69, 16, true}, {1024, 1, 687, 16, true}, {1024, 2, 335, 16, true},
		{4600, 1, maxConnections, 16, false}, {10_000, 2, maxConnections / 2, 16, false}, {1 << 20, 1, maxConnections, 16, false},
	} {
		got := sharedBound(tt.files, tt.servers)
		if got.connections != tt.want || got.spare() != tt.spare {
			t.Errorf("%d files, %d servers: %d connections and %d, want %d and %d", tt.files, tt.servers, got.connections, got.spare(), tt.want, tt.spare)
		}
		if byFiles := strings.Contains(got.reason, "open files"); byFiles != tt.byFiles || (len(got.attrs) > 0) != byFiles {
			t.Errorf("%d files, %d servers: as many as %s %v", tt.files, tt.servers, got.reason, got.attrs)
		}
	}
}

func TestOwnBound(t *testing.T) {
	for _, tt := range []struct {
		connections, files, want int
		byFiles                  bool
	}{{8, 64, 8, false}, {8, 1024, 8, false}, {192, 64, 8, true}, {192, 1024, 128, true}, {192, 4096, 192, false}, {192, 1 << 20, 192, false}} {
		got := ownBound(tt.connections, tt.files)
		if byFiles := strings.Contains(got.reason, "open files"); got.connections != tt.want || byFiles != tt.byFiles || (len(got.attrs) > 0) != byFiles {
			t.Errorf("%d with %d files: %d, as many as %s %v", tt.connections, tt.files, got.connections, got.reason, got.attrs)
		}
	}
}
