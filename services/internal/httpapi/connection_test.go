package httpapi

import (
	"io"
	"net"
	"testing"
)

// A connection reserves memory for a large header while it reads the header. Without
// memory, reading fails.
func TestHeaderMemory(t *testing.T) {
	before := free()
	read := func(c *connection, client net.Conn, n int) error {
		go client.Write(make([]byte, n))
		_, err := io.ReadFull(c, make([]byte, n))
		return err
	}
	client, server := net.Pipe()
	defer client.Close()
	c := &connection{Conn: server}
	for _, tt := range []struct{ read, held int }{{freeHeader, 0}, {1, (freeHeader + 1) * headerCost}, {small, (freeHeader + 1 + small) * headerCost}} {
		if err := read(c, client, tt.read); err != nil {
			t.Fatal(err)
		}
		if held := before - free(); held != tt.held {
			t.Errorf("%d bytes are reserved, want %d", held, tt.held)
		}
	}
	c.endHeader()
	if err := read(c, client, 2*small); err != nil || free() != before {
		t.Errorf("a body reserves %d bytes, %v", before-free(), err)
	}
	c.beginHeader()
	go client.Write(make([]byte, small))
	if n, err := c.Read(make([]byte, small)); n > freeHeader || err != nil {
		t.Errorf("Read filled a buffer of the server's size with %d bytes, %v", n, err)
	}
	if _, err := io.ReadFull(c, make([]byte, small-freeHeader)); err != nil {
		t.Error(err)
	}
	c.endHeader()
	takeAll(t)
	if err := read(c, client, 2*small); err != nil {
		t.Error(err)
	}
	c.beginHeader()
	if err := read(c, client, 2*small); err == nil {
		t.Error("read a large header without memory")
	}
}
