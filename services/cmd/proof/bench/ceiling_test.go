package main

import (
	"io"
	"net"
	"testing"
)

// A batch is one write; later bytes are another.
func TestBatchConn(t *testing.T) {
	here, there := net.Pipe() // a read there ends with the write here
	defer there.Close()
	defer here.Close()
	c := &batchConn{Conn: here}
	done := make(chan error, 1)
	go func() {
		c.hold()
		for _, part := range []string{"a", "bc", "d"} {
			if _, err := io.WriteString(c, part); err != nil {
				done <- err
				return
			}
		}
		if err := c.release(); err != nil {
			done <- err
			return
		}
		_, err := io.WriteString(c, "ef")
		done <- err
	}()
	buffer := make([]byte, 10)
	for _, want := range []string{"abcd", "ef"} {
		n, err := there.Read(buffer)
		if got := string(buffer[:n]); err != nil || got != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// After a batch that failed, nothing is sent.
func TestBatchConnBroken(t *testing.T) {
	here, there := net.Pipe()
	c := &batchConn{Conn: here}
	c.hold()
	if _, err := io.WriteString(c, "a"); err != nil {
		t.Fatal(err)
	}
	there.Close()
	if err := c.release(); err == nil {
		t.Error("release: no error")
	}
	if _, err := io.WriteString(c, "b"); err == nil {
		t.Error("write: no error")
	}
}
