package httpapi

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// headerCost is the memory for each byte of a header of many short fields: a
	// field of 4 bytes takes about 130 bytes.
	headerCost = 32

	// freeHeader is the size in bytes up to which a header needs no reservation.
	freeHeader = 512
)

// connection is a connection that a boundedListener has accepted. While it reads a
// header above freeHeader, it reserves memory for the header. Reading fails if no
// memory is free.
type connection struct {
	net.Conn
	accepted  time.Time
	spare     bool
	replacing bool         // an idle connection was closed for this one
	idleSince atomic.Int64 // in Unix nanoseconds; 0 during a request

	tls   *tls.Conn            // nil without TLS
	log   *slog.Logger         // of tls
	raw   *rawConnection       // below tls
	state *tls.ConnectionState // nil until the handshake is done

	mu         sync.Mutex
	headerRead bool // the bytes that follow are not a header's
	header     int  // bytes of the header read so far
	held       int  // bytes reserved for the header
}

// Read fills at most freeHeader bytes of the server's buffer. Bytes that it reads
// ahead are not counted as the next request's header, so they must be few.
func (c *connection) Read(p []byte) (int, error) {
	if c.tls != nil && c.state == nil {
		if err := c.handshake(); err != nil {
			return 0, err
		}
	}
	if len(p) <= small {
		p = p[:min(len(p), freeHeader)]
	}
	n, err := c.Conn.Read(p)
	if n > 0 && !c.reserve(n) {
		return 0, &net.OpError{Op: "read", Net: "tcp", Err: errors.New("no memory for a header of this size")}
	}
	return n, err
}

// reserve reserves memory for n more bytes of a header, and reports whether it
// was free.
func (c *connection) reserve(n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.headerRead {
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

// beginHeader notes that the bytes that follow are a header's.
func (c *connection) beginHeader() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.headerRead = false
}

// endHeader notes that the header was read, and releases its memory.
func (c *connection) endHeader() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held > 0 {
		memory.release(c.held)
	}
	c.headerRead, c.held, c.header = true, 0, 0
}

// Close closes the connection.
func (c *connection) Close() error {
	if c.raw != nil {
		c.raw.closing.Store(true)
		_ = c.raw.SetWriteDeadline(time.Now().Add(farewellTime)) // also of an answer of TLS itself, for which tls.Conn would wait
	}
	return c.Conn.Close()
}

// CloseWrite closes the sending side, so that the client can read the whole answer
// before the connection ends. The server calls it.
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

// connectionHandler returns a handler that notes the end of each header. On spare
// connections it refuses everything but health checks.
func connectionHandler(handler http.Handler, log *slog.Logger) http.Handler {
	refuse := withExchange(nil, log, new(observer), attached, answer(log, func(http.ResponseWriter, *http.Request) error {
		p := Overloaded("too many connections are open; this request was not carried out")
		p.Counted = true // the listener logs it
		return p
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, ok := r.Context().Value(connectionKey{}).(*connection)
		if ok {
			c.endHeader()
			r.TLS = c.state
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
