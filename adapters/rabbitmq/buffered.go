package rabbitmq

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// maxBuffered bounds the bytes in a buffer.
const maxBuffered = 64 << 10

// bufferedConn gives each write a deadline, and stops reading while its intake
// has no room. Between hold and release it buffers what is written: the library
// writes each message by itself, at the cost of a system call and a packet.
// BenchmarkHold shows the difference.
//
// Write never returns an error. After one, the library closes its channels while
// its reader may still send to them, and panics. So a failed write closes the
// connection instead, and the reader finds that.
type bufferedConn struct {
	net.Conn
	failed func(error) // closes the connection after a failed write

	mu     sync.Mutex
	held   bool
	buffer []byte
	broken error // the first failed write's: after a gap, the broker would misread what follows

	door     atomic.Pointer[door] // nil: always open
	pausing  atomic.Bool          // Read waits at the door
	read     int                  // bytes, by the last call of Read
	patience atomic.Int64         // how long the library waits for the next bytes; 0: without a bound
}

func (c *bufferedConn) Read(p []byte) (n int, err error) {
	if door := c.door.Load(); door != nil {
		c.pausing.Store(true)
		waited, err := door.wait(c.read)
		c.pausing.Store(false)
		if err != nil {
			return 0, err
		}
		if patience := time.Duration(c.patience.Load()); waited && patience > 0 {
			// The broker gets its full time, for we were the ones who waited.
			if err := c.Conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
				return 0, err
			}
		}
	}
	c.read, err = c.Conn.Read(p)
	return c.read, err
}

func (c *bufferedConn) SetReadDeadline(t time.Time) error {
	patience := time.Duration(0)
	if !t.IsZero() {
		patience = time.Until(t)
	}
	c.patience.Store(int64(patience))
	return c.Conn.SetReadDeadline(t)
}

func (c *bufferedConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.buffer)+len(p) > maxBuffered {
		c.flush()
	}
	if c.held && len(p) <= maxBuffered {
		c.buffer = append(c.buffer, p...)
	} else {
		c.write(p)
	}
	return len(p), nil
}

func (c *bufferedConn) write(p []byte) {
	if c.broken != nil {
		return
	}
	if c.broken = c.SetWriteDeadline(time.Now().Add(writeTimeout)); c.broken == nil {
		_, c.broken = c.Conn.Write(p)
	}
	if c.broken != nil {
		c.failed(c.broken)
	}
}

func (c *bufferedConn) flush() {
	if len(c.buffer) > 0 {
		c.write(c.buffer)
		c.buffer = c.buffer[:0]
	}
}

// hold starts to buffer writes.
func (c *bufferedConn) hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = true
}

// release sends the buffer, and ends buffering.
func (c *bufferedConn) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = false
	c.flush()
}
