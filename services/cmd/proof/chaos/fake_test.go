package main

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
	"testing/iotest"
)

// fakeServer answers every message on each connection. Its stop waits for the clients
// to leave and returns the bytes of each connection.
func fakeServer(t *testing.T, read reader, answer func(message []byte) []byte) (addr string, stop func() [][]byte) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var streams [][]byte
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				stream := answerAll(conn, read, answer)
				mu.Lock()
				defer mu.Unlock()
				streams = append(streams, stream)
			})
		}
	})
	return listener.Addr().String(), func() [][]byte {
		listener.Close()
		wg.Wait()
		return streams
	}
}

// answerAll answers every message until the connection ends, and returns the bytes that
// it got.
func answerAll(conn net.Conn, read reader, answer func(message []byte) []byte) (stream []byte) {
	defer conn.Close()
	for r := bufio.NewReader(conn); ; {
		m, err := read(r)
		if err != nil {
			return stream
		}
		stream = append(stream, m...)
		if _, err := conn.Write(answer(m)); err != nil {
			return stream
		}
	}
}

// steps returns the steps that a tap sees in the bytes, which come one by one.
func steps(t *testing.T, read reader, stepOf func([]byte) step, stream []byte) (seen []step) {
	t.Helper()
	for r := bufio.NewReader(iotest.OneByteReader(bytes.NewReader(stream))); ; {
		m, err := read(r)
		if err != nil {
			if err != io.EOF || r.Buffered() > 0 {
				t.Errorf("%d bytes are left: %v", r.Buffered(), err)
			}
			return seen
		}
		if s := stepOf(m); s != "" {
			seen = append(seen, s)
		}
	}
}

// What is no message ends the connection.
func TestUnreadable(t *testing.T) {
	for text, read := range map[string]reader{
		"ANQP\x00\x00\x09\x01":                     readAMQP,
		"\x16\x03\x01\x02\x00\x01\x00\x01":         readAMQP, // TLS
		"\x0F\x00\x00\x00 is less than the header": readMongo,
		"\xFF\xFF\xFF\xFF and much more":           readMongo,
	} {
		if m, err := read(bufio.NewReader(bytes.NewReader([]byte(text)))); err == nil {
			t.Errorf("%q was read as %q", text, m)
		}
	}
}
