package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"example.com/orderflow/services/internal/statelog"
)

const (
	// rest is how long a connection may be without a request where another
	// waits for its place, and silence how long a spare one may.
	rest    = time.Second
	silence = 200 * time.Millisecond
)

// boundedListener bounds how many of its connections are open. At the bound the
// one that has been without a request for longest is closed for the next. Where
// all have had one of late, it takes a few spare connections; when these are
// used up, the oldest that has sent no request for a while is closed.
type boundedListener struct {
	net.Listener
	bound func() bound
	log   *slog.Logger
	files statelog.State // down: the process can't open more
	room  statelog.State // down: the bound is reached

	mu     sync.Mutex
	ended  *sync.Cond // a connection, or the listener
	closed bool
	within map[*connection]struct{} // the bound
	spare  int                      // and beyond it
	silent []*connection            // of the spare, those without a request, the oldest first
}

func newBoundedListener(listener net.Listener, bound func() bound, log *slog.Logger) *boundedListener {
	l := &boundedListener{Listener: listener, bound: bound, log: log, within: make(map[*connection]struct{})}
	l.ended = sync.NewCond(&l.mu)
	return l
}

// Accept waits for a connection. A server goes on after an error.
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
	if c.spare || c.instead {
		b := l.bound()
		l.room.Down(context.Background(), l.log, "too many connections; idle ones are closed for others, and where none is, only /livez and /readyz are answered",
			fmt.Errorf("%d are open, as many as %s", b.connections, b.why), b.attrs...)
	}
	return c, nil
}

func (l *boundedListener) admit(accepted net.Conn) (*connection, error) {
	c := &connection{Conn: accepted, accepted: time.Now()}
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		b := l.bound()
		switch {
		case l.closed:
			return nil, net.ErrClosed
		case len(l.within) < b.connections:
			c.idle.Store(time.Now().UnixNano())
			l.within[c] = struct{}{}
			return c, nil
		case l.closeIdle():
			c.instead = true
			continue
		case l.spare < b.spare():
			l.spare++
			l.silent = append(l.silent, c)
			c.spare = true
			return c, nil
		case len(l.silent) > 0:
			if left := silence - time.Since(l.silent[0].accepted); left > 0 {
				time.AfterFunc(left, l.wake)
				break
			}
			_ = l.silent[0].Close() // the server notes its end
			l.silent = l.silent[1:]
		}
		l.ended.Wait()
	}
}

// closeIdle closes the connection that has been without a request for longest,
// if that is long enough.
func (l *boundedListener) closeIdle() bool {
	var longest *connection
	since := time.Now().Add(-rest).UnixNano()
	for c := range l.within {
		if idle := c.idle.Load(); idle != 0 && idle <= since {
			longest, since = c, idle
		}
	}
	if longest == nil {
		return false
	}
	_ = longest.Close() // the server notes its end
	delete(l.within, longest)
	return true
}

// wake has Accept, if it waits, look again. It takes the lock, so that Accept
// does not miss it on its way to wait.
func (l *boundedListener) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended.Broadcast()
}

// Close ends the listener and its Accept.
func (l *boundedListener) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.ended.Broadcast()
	return l.Listener.Close()
}

// note notes what becomes of a connection; it is a hook of [http.Server].
func (l *boundedListener) note(conn net.Conn, state http.ConnState) {
	c, ok := conn.(*connection)
	if !ok || state == http.StateNew {
		return
	}
	switch state {
	case http.StateActive:
		c.idle.Store(0)
	case http.StateIdle:
		c.idle.Store(time.Now().UnixNano())
		c.awaitHeader()
	}
	over := state == http.StateClosed || state == http.StateHijacked
	if over {
		c.endHeader()
	}
	if c.spare || over {
		l.leave(c, over)
	}
}

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
	l.ended.Broadcast()
	if roomAgain && l.room.IsDown() {
		l.room.Up(context.Background(), l.log, "connections are served again")
	}
}

// connection is one that a boundedListener has accepted. What it reads of a
// header that is not tiny it reserves of the memory budget, or it ends.
type connection struct {
	net.Conn
	accepted time.Time
	spare    bool
	instead  bool         // of another, which was closed for it
	idle     atomic.Int64 // since when it has had no request, in Unix nanoseconds; 0: it has one

	mu     sync.Mutex
	beyond bool // the header: what is read is none of it
	header int  // bytes read of it
	held   int  // bytes reserved for it
}

const (
	// headerCost is how many times its size a header takes that consists of
	// many short fields: one of 4 bytes takes some 130.
	headerCost = 32

	// freeHeader is how many bytes of a header need no reservation.
	freeHeader = 512
)

// Read fills a server's buffer in parts: what a buffer keeps for the next
// request is not counted as its header, so it must be little.
func (c *connection) Read(p []byte) (int, error) {
	if len(p) <= small {
		p = p[:min(len(p), freeHeader)]
	}
	n, err := c.Conn.Read(p)
	if n > 0 && !c.noteRead(n) {
		return 0, &net.OpError{Op: "read", Net: "tcp", Err: errors.New("no memory for so large a header")}
	}
	return n, err
}

func (c *connection) noteRead(n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.beyond {
		return true
	}
	c.header += n
	if c.header <= freeHeader {
		return true
	}
	more := c.header*headerCost - c.held
	if !memory.take(more) {
		return false
	}
	c.held += more
	return true
}

// endHeader notes that the header is read.
func (c *connection) endHeader() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held > 0 {
		memory.release(c.held)
	}
	c.beyond, c.held, c.header = true, 0, 0
}

func (c *connection) awaitHeader() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.beyond = false
}

// CloseWrite has the client read what was written before the connection ends;
// the server calls it where the connection has it.
func (c *connection) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

type connectionKey struct{}

func withConnection(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, conn)
}

// onConnection returns a handler that notes the end of each header, and refuses
// all but health on spare connections.
func onConnection(handler http.Handler, log *slog.Logger) http.Handler {
	refuse := exchanges(nil, log, attached, answer(log, func(http.ResponseWriter, *http.Request) error {
		return Overloaded("too many connections are open; this request was not carried out")
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, ok := r.Context().Value(connectionKey{}).(*connection)
		if ok {
			c.endHeader()
		}
		if ok && c.spare {
			w.Header().Set("Connection", "close")
			if r.URL.Path != livePath && r.URL.Path != readyPath {
				refuse.ServeHTTP(w, r)
				return
			}
		}
		handler.ServeHTTP(w, r)
	})
}
