package rabbitmq

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"
)

// writes is a connection that records the writes.
type writes struct {
	net.Conn
	all [][]byte
	err error
}

func (w *writes) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	w.all = append(w.all, bytes.Clone(p))
	return len(p), nil
}

func pipe(t testing.TB) *writes {
	end, other := net.Pipe()
	t.Cleanup(func() { end.Close(); other.Close() })
	return &writes{Conn: end}
}

func TestHeldWrites(t *testing.T) {
	filled := func(size int) []byte { return bytes.Repeat([]byte("x"), size) }
	small, most, more := filled(100), filled(maxBuffered), filled(maxBuffered+1)
	tests := []struct {
		name   string
		writes [][]byte
		want   []int // sizes of the writes, the last by release
	}{
		{"little", [][]byte{small, small, small}, []int{300}},
		{"nothing", nil, nil},
		{"a full buffer", [][]byte{most}, []int{maxBuffered}},
		{"more than a buffer", [][]byte{small, most, small}, []int{100, maxBuffered, 100}},
		{"a message larger than the buffer", [][]byte{small, more, small}, []int{100, maxBuffered + 1, 100}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := pipe(t)
			c := &bufferedConn{Conn: w, failed: func(err error) { t.Error(err) }}
			c.hold()
			for _, p := range tt.writes {
				if n, err := c.Write(p); n != len(p) || err != nil {
					t.Errorf("wrote %d of %d bytes: %v", n, len(p), err)
				}
			}
			if before := len(w.all); before != max(0, len(tt.want)-1) {
				t.Errorf("%d writes before the release", before)
			}
			c.release()
			if _, err := c.Write([]byte("!")); err != nil { // not buffered
				t.Error(err)
			}
			var sizes []int
			for _, p := range w.all {
				sizes = append(sizes, len(p))
			}
			if diff := cmp.Diff(append(tt.want, 1), sizes); diff != "" {
				t.Errorf("sizes of the writes (-want +got):\n%s", diff)
			}
			want := append(slices.Concat(tt.writes...), '!')
			if !bytes.Equal(want, slices.Concat(w.all...)) {
				t.Error("the connection received other bytes than were written")
			}
		})
	}
}

func TestWriteFails(t *testing.T) {
	broken := errors.New("broken")
	for _, held := range []bool{false, true} {
		t.Run(fmt.Sprintf("held=%v", held), func(t *testing.T) {
			w := pipe(t)
			w.err = broken
			var failures []error
			c := &bufferedConn{Conn: w, failed: func(err error) { failures = append(failures, err) }}
			write := func(size int) {
				if n, err := c.Write(make([]byte, size)); n != size || err != nil {
					t.Errorf("Write returned %d of %d bytes, error %v", n, size, err)
				}
			}
			if held {
				c.hold()
			}
			write(100)
			if held && len(failures) > 0 {
				t.Errorf("a buffered write fails: %v", failures)
			}
			c.release()
			// Bytes are missing now, so the connection must not send any more.
			w.err = nil
			write(100)
			c.hold()
			write(maxBuffered)
			write(100)
			c.release()
			if len(w.all) > 0 {
				t.Errorf("%d writes after the failed one", len(w.all))
			}
			if len(failures) != 1 || failures[0] != broken {
				t.Errorf("failures %v, want one: %v", failures, broken)
			}
		})
	}
}

// breaking is a connection whose writes fail after broken is set. Its reads then
// return many methods by which the broker says that it takes messages again.
type breaking struct {
	net.Conn
	broken, closed atomic.Bool
}

func (c *breaking) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if !c.broken.Load() || c.closed.Load() {
		return n, err
	}
	unblocked := []byte{1, 0, 0, 0, 0, 0, 4, 0, 10, 0, 61, 0xCE}
	return copy(p, bytes.Repeat(unblocked, len(p)/len(unblocked))), nil
}

func (c *breaking) Write(p []byte) (int, error) {
	if c.broken.Load() {
		_ = c.Conn.SetReadDeadline(time.Now()) // wakes Read
		return 0, errors.New("broken")
	}
	return c.Conn.Write(p)
}

func (c *breaking) Close() error {
	c.closed.Store(true)
	return c.Conn.Close()
}

// The library must not close its channels while its reader sends to them.
func TestWriteFailsWhileTheBrokerUnblocks(t *testing.T) {
	url := os.Getenv("TEST_BROKER_URL")
	if url == "" {
		t.Skip("TEST_BROKER_URL is not set")
	}
	for range 20 {
		var conn *breaking
		library, err := amqp.DialConfig(url, amqp.Config{Dial: func(network, address string) (net.Conn, error) {
			tcp, err := net.Dial(network, address)
			conn = &breaking{Conn: tcp}
			return &bufferedConn{Conn: conn, failed: func(error) { conn.Close() }}, err
		}})
		if err != nil {
			t.Fatal(err)
		}
		blocked := library.NotifyBlocked(make(chan amqp.Blocking, 1))
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			for range blocked {
			}
		}()
		conn.broken.Store(true)
		if _, err := library.Channel(); err == nil {
			t.Error("Channel succeeded although its write failed")
		}
		<-closed
	}
}

// BenchmarkHold compares a batch with one write for each message to a batch with one
// write for all.
func BenchmarkHold(b *testing.B) {
	const batch, size = 256, 600
	message := make([]byte, size)
	for _, hold := range []bool{false, true} {
		b.Run(fmt.Sprintf("hold=%v", hold), func(b *testing.B) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			read := make(chan struct{})
			go func() {
				defer close(read)
				if peer, err := listener.Accept(); err == nil {
					_, _ = io.Copy(io.Discard, peer)
					peer.Close()
				}
			}()
			conn, err := net.Dial("tcp", listener.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			c := &bufferedConn{Conn: conn, failed: func(err error) { b.Error(err) }}
			b.SetBytes(batch * size)
			for b.Loop() {
				if hold {
					c.hold()
				}
				for range batch {
					if _, err := c.Write(message); err != nil {
						b.Fatal(err)
					}
				}
				c.release()
			}
			conn.Close()
			<-read
			listener.Close()
		})
	}
}
