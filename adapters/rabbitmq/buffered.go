package rabbitmq

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// maxBuffered bounds the bytes in a buffer.
const maxBuffered = 64 << 10

// bufferedConn gives each write a deadline, and stops reading while its intake has
// no room. Between hold and release it buffers writes, because the library writes
// each message alone, at the cost of a system call and a packet. BenchmarkHold
// shows the difference.
//
// Write never returns an error. After an error the library would close its channels
// while its reader may still send to them, and panic. So a failed write closes the
// connection instead, and the reader finds it closed.
type bufferedConn struct {
	net.Conn
	failed func(error) // closes the connection after a failed write

	mu     sync.Mutex
	held   bool
	buffer []byte
	broken error // of the first failed write; after a gap the broker would misread later bytes

	throttle    atomic.Pointer[throttle] // nil: none
	pausing     atomic.Bool              // Read waits for the throttle
	read        int                      // bytes that the last call of Read returned
	readTimeout atomic.Int64             // how long the library waits for the next bytes; 0: no limit
}

func (c *bufferedConn) Read(p []byte) (n int, err error) {
	if throttle := c.throttle.Load(); throttle != nil {
		c.pausing.Store(true)
		waited, err := throttle.wait(c.read)
		c.pausing.Store(false)
		if err != nil {
			return 0, err
		}
		if readTimeout := time.Duration(c.readTimeout.Load()); waited && readTimeout > 0 {
			// The throttle's wait must not shorten the broker's time.
			if err := c.Conn.SetReadDeadline(time.Now().Add(readTimeout)); err != nil {
				return 0, err
			}
		}
	}
	c.read, err = c.Conn.Read(p)
	return c.read, err
}

func (c *bufferedConn) SetReadDeadline(t time.Time) error {
	readTimeout := time.Duration(0)
	if !t.IsZero() {
		readTimeout = time.Until(t)
	}
	c.readTimeout.Store(int64(readTimeout))
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

// release sends the buffer and stops buffering.
func (c *bufferedConn) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = false
	c.flush()
}
