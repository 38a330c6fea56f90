package httpapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"time"

	"example.com/orderflow/services/internal/statelog"
)

const (
	// A connection may be closed for a new one after idleTime without a request, a
	// spare connection after spareTime.
	idleTime  = time.Second
	spareTime = 200 * time.Millisecond
)

// boundedListener bounds how many of its connections are open. At the bound it
// closes the connection that has been idle for longest to make room for the next.
// If none is idle, it takes a few spare connections. If all of those are in use,
// it closes the oldest that has not sent a request in time.
type boundedListener struct {
	net.Listener
	tls   *tls.Config // nil: without TLS
	bound func() bound
	log   *slog.Logger
	files statelog.State // down while the process can't open more files
	room  statelog.State // down while the bound is reached

	mu      sync.Mutex
	changed *sync.Cond // a connection or the listener was closed, or a spareTime is over
	closed  bool
	within  map[*connection]struct{} // the connections within the bound
	spare   int                      // the number of connections beyond the bound
	silent  []*connection            // the spare ones without a request, oldest first
}

func newBoundedListener(listener net.Listener, bound func() bound, log *slog.Logger) *boundedListener {
	l := &boundedListener{Listener: listener, bound: bound, log: log, within: make(map[*connection]struct{})}
	l.changed = sync.NewCond(&l.mu)
	return l
}

// Accept waits for a connection, and for room for it.
func (l *boundedListener) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
			l.files.Down(context.Background(), l.log, "connections can't be accepted", err)
		}
		return nil, err
	}
	if l.files.IsDown() {
		l.files.Up(context.Background(), l.log, "connections are accepted again")
	}
	c, err := l.admit(accepted)
	if err != nil {
		return nil, errors.Join(err, accepted.Close())
	}
	if c.spare || c.replacing {
		b := l.bound()
		l.room.Down(context.Background(), l.log, "too many connections; idle ones are closed for new ones, and if none is idle, only /livez and /readyz are answered",
			fmt.Errorf("%d are open, as many as %s", b.connections, b.reason), b.attrs...)
	}
	return c, nil
}

func (l *boundedListener) admit(accepted net.Conn) (*connection, error) {
	c := &connection{Conn: accepted, accepted: time.Now()}
	if l.tls != nil {
		c.secured(l.tls, l.log)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		b := l.bound()
		switch {
		case l.closed:
			return nil, net.ErrClosed
		case len(l.within) < b.connections:
			c.idleSince.Store(time.Now().UnixNano())
			l.within[c] = struct{}{}
			return c, nil
		case l.closeIdle():
			c.replacing = true
			continue
		case l.spare < b.spare():
			l.spare++
			l.silent = append(l.silent, c)
			c.spare = true
			return c, nil
		case len(l.silent) > 0:
			if left := spareTime - time.Since(l.silent[0].accepted); left > 0 {
				time.AfterFunc(left, l.wake)
				break
			}
			_ = l.silent[0].Close() // the server reports its end to noteState
			l.silent = l.silent[1:]
		}
		l.changed.Wait()
	}
}

// closeIdle closes the connection that has been idle for longest, unless that is
// less than idleTime.
func (l *boundedListener) closeIdle() bool {
	var longest *connection
	since := time.Now().Add(-idleTime).UnixNano()
	for c := range l.within {
		if idle := c.idleSince.Load(); idle != 0 && idle <= since {
			longest, since = c, idle
		}
	}
	if longest == nil {
		return false
	}
	_ = longest.Close() // the server reports its end to noteState
	delete(l.within, longest)
	return true
}

// wake makes a waiting admit check again. It takes the lock, so that an admit that
// is about to wait can't miss it.
func (l *boundedListener) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changed.Broadcast()
}

// Close closes the listener and ends its Accept.
func (l *boundedListener) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.changed.Broadcast()
	return l.Listener.Close()
}

// noteState follows the state of a connection; it is [http.Server.ConnState].
func (l *boundedListener) noteState(conn net.Conn, state http.ConnState) {
	c, ok := conn.(*connection)
	if !ok || state == http.StateNew {
		return
	}
	switch state {
	case http.StateActive:
		c.idleSince.Store(0)
	case http.StateIdle:
		c.idleSince.Store(time.Now().UnixNano())
		c.beginHeader()
	}
	over := state == http.StateClosed || state == http.StateHijacked
	if over {
		c.endHeader()
	}
	if c.spare || over {
		l.leave(c, over)
	}
}

// leave removes the connection from the silent ones and, if it is over, from all.
func (l *boundedListener) leave(c *connection, over bool) {
	l.mu.Lock()
	if c.spare {
		l.silent = slices.DeleteFunc(l.silent, func(other *connection) bool { return other == c })
	}
	if over && c.spare {
		l.spare--
	} else if over {
		delete(l.within, c)
	}
	roomAgain := len(l.within) <= l.bound().connections*3/4
	l.mu.Unlock()
	l.changed.Broadcast()
	if roomAgain && l.room.IsDown() {
		l.room.Up(context.Background(), l.log, "connections are served again")
	}
}
