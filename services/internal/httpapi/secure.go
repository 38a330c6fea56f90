package httpapi

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"time"
)

const (
	// maxHandshake bounds the bytes that a client sends until its handshake by TLS is done.
	// A browser sends less than 3 KiB.
	maxHandshake = 16 << 10

	// farewellTime bounds how long the end of a connection waits to tell the client by TLS.
	farewellTime = 10 * time.Millisecond
)

// secured makes the connection one by TLS, of which c is the plain side: so the bounds on
// headers count what the client has written, whatever TLS makes of it.
//
// It is HTTP/1.1 alone. By HTTP/2 a connection has many requests at once, and the bounds are
// on connections.
func (c *connection) secured(config *tls.Config, log *slog.Logger) {
	config = config.Clone()
	config.NextProtos = []string{"http/1.1"}
	c.raw = &rawConnection{Conn: c.Conn, left: maxHandshake}
	c.tls = tls.Server(c.raw, config)
	c.Conn, c.log = c.tls, log
}

// handshake completes the handshake by TLS. The server has set the time limit of its reads. The
// one of its writes lasts until the header was read: a client may ask TLS for answers.
func (c *connection) handshake() error {
	_ = c.raw.SetWriteDeadline(time.Now().Add(headerTimeout))
	if err := c.tls.Handshake(); err != nil {
		var record tls.RecordHeaderError
		if errors.As(err, &record) && record.Conn != nil && isHTTP(record.RecordHeader) {
			_, _ = io.WriteString(record.Conn, "HTTP/1.0 400 Bad Request\r\nConnection: close\r\n\r\nThis address speaks https alone.\n")
		}
		c.log.Debug("a handshake by TLS has failed", "client", c.RemoteAddr().String(), "error", err)
		return err
	}
	c.raw.left = -1
	state := c.tls.ConnectionState()
	c.state = &state
	return nil
}

// isHTTP reports whether the bytes are the beginning of a request without TLS.
func isHTTP(begin [5]byte) bool {
	switch string(begin[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "DELET", "PATCH":
		return true
	}
	return false
}

// rawConnection is what TLS reads and writes.
type rawConnection struct {
	net.Conn
	left    int // bytes that the client may send until its handshake is done; negative: it is done
	closing atomic.Bool
}

func (c *rawConnection) Read(p []byte) (int, error) {
	switch {
	case c.left == 0:
		return 0, errors.New("the handshake is too long")
	case c.left > 0:
		p = p[:min(len(p), c.left)]
	}
	n, err := c.Conn.Read(p)
	if c.left > 0 {
		c.left -= n
	}
	return n, err
}

// SetWriteDeadline keeps the end of a connection short, for which TLS allows 5 s: whoever
// closes connections has a lock.
func (c *rawConnection) SetWriteDeadline(t time.Time) error {
	if soon := time.Now().Add(farewellTime); c.closing.Load() && t.After(soon) {
		t = soon
	}
	return c.Conn.SetWriteDeadline(t)
}
