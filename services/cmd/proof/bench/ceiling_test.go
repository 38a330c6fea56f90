package main

import (
	"errors"
	"io"
	"net"
	"testing"
)

// A batch is one write; later bytes are another. A batch that fails says so.
func TestBatchConn(t *testing.T) {
	here, there := net.Pipe() // a read there ends with the write here
	defer here.Close()
	c := &batchConn{Conn: here}
	write := func(parts ...string) func() error {
		return func() (err error) {
			for _, part := range parts {
				_, failed := io.WriteString(c, part)
				err = errors.Join(err, failed)
			}
			return err
		}
	}
	done := make(chan error, 1)
	go func() { done <- errors.Join(c.batch(write("a", "bc", "d")), write("ef")()) }()
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
	there.Close()
	if err := c.batch(write("a")); err == nil {
		t.Error("a batch to nobody: no error")
	}
}
