package rabbitmq

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
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
		want   []int // the sizes of the writes before release, and of the last by it
	}{
		{"little", [][]byte{small, small, small}, []int{300}},
		{"nothing", nil, nil},
		{"as much as fits", [][]byte{most}, []int{maxBuffered}},
		{"more than fits", [][]byte{small, most, small}, []int{100, maxBuffered, 100}},
		{"what never fits", [][]byte{small, more, small}, []int{100, maxBuffered + 1, 100}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := pipe(t)
			c := &bufferedConn{Conn: w}
			c.hold()
			for _, p := range tt.writes {
				if n, err := c.Write(p); n != len(p) || err != nil {
					t.Errorf("wrote %d of %d bytes: %v", n, len(p), err)
				}
			}
			if before := len(w.all); before != max(0, len(tt.want)-1) {
				t.Errorf("%d writes went out before the release", before)
			}
			if err := c.release(); err != nil {
				t.Error(err)
			}
			if _, err := c.Write([]byte("!")); err != nil { // held no longer
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
				t.Error("what went out is not what was written")
			}
		})
	}
}

func TestHeldWriteFails(t *testing.T) {
	broken := errors.New("broken")
	w := pipe(t)
	w.err = broken
	c := &bufferedConn{Conn: w}
	c.hold()
	if _, err := c.Write([]byte("small")); err != nil {
		t.Errorf("what waits fails at once: %v", err)
	}
	if _, err := c.Write(make([]byte, maxBuffered)); !errors.Is(err, broken) {
		t.Errorf("a write that had to go out: got %v, want %v", err, broken)
	}
	// There is a hole from now on, behind which nothing may be sent.
	w.err = nil
	if _, err := c.Write([]byte("small")); !errors.Is(err, broken) {
		t.Errorf("the write after it: got %v, want %v", err, broken)
	}
	if err := c.release(); !errors.Is(err, broken) {
		t.Errorf("release: got %v, want %v", err, broken)
	}
	if _, err := c.Write([]byte("small")); !errors.Is(err, broken) || len(w.all) > 0 {
		t.Errorf("a write after the release: got %v and %d writes, want %v and none", err, len(w.all), broken)
	}
}

// The cost of a batch with one write for each message, and with one for all.
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
			c := &bufferedConn{Conn: conn}
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
				if err := c.release(); err != nil {
					b.Fatal(err)
				}
			}
			conn.Close()
			<-read
			listener.Close()
		})
	}
}
