package rabbitmq

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// heldBytes is how much is held back at most.
const heldBytes = 64 << 10

// boundedConn gives every write a deadline, and reads nothing while there is no
// room for it. While it is held, what is written
// waits, to go with the rest: the library writes each message by itself, which
// costs a system call here and a packet to take apart there. BenchmarkHold shows
// what that buys.
type boundedConn struct {
	net.Conn

	mu      sync.Mutex
	held    bool
	waiting []byte
	broken  error // of the first write that failed: what came after it would be taken for the rest of it

	door     atomic.Pointer[door] // nil: there always is room
	pausing  atomic.Bool
	read     int          // at the last call of Read
	patience atomic.Int64 // how long the library waits for the next bytes; 0: without a bound
}

func (c *boundedConn) Read(p []byte) (n int, err error) {
	if door := c.door.Load(); door != nil {
		c.pausing.Store(true)
		waited, err := door.wait(c.read)
		c.pausing.Store(false)
		if err != nil {
			return 0, err
		}
		if patience := time.Duration(c.patience.Load()); waited && patience > 0 {
			// The time in which nothing was read is not the broker's.
			if err := c.Conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
				return 0, err
			}
		}
	}
	c.read, err = c.Conn.Read(p)
	return c.read, err
}

func (c *boundedConn) SetReadDeadline(t time.Time) error {
	patience := time.Duration(0)
	if !t.IsZero() {
		patience = time.Until(t)
	}
	c.patience.Store(int64(patience))
	return c.Conn.SetReadDeadline(t)
}

func (c *boundedConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil {
		return 0, c.broken
	}
	if len(c.waiting)+len(p) > heldBytes {
		if err := c.flush(); err != nil {
			return 0, err
		}
	}
	if !c.held || len(p) > heldBytes {
		return c.write(p)
	}
	c.waiting = append(c.waiting, p...)
	return len(p), nil
}

func (c *boundedConn) write(p []byte) (n int, err error) {
	if err = c.SetWriteDeadline(time.Now().Add(writeTimeout)); err == nil {
		n, err = c.Conn.Write(p)
	}
	c.broken = err
	return n, err
}

func (c *boundedConn) flush() error {
	if len(c.waiting) == 0 {
		return c.broken
	}
	_, err := c.write(c.waiting)
	c.waiting = c.waiting[:0]
	return err
}

// hold has what is written wait until release, or until it is too much.
func (c *boundedConn) hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = true
}

// release sends what waits.
func (c *boundedConn) release() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = false
	return c.flush()
}
