package main

import (
	"net"
	"sync"
	"testing"
)

// fakeServer answers every message on each connection. Its stop waits for the clients
// to leave and returns the bytes of each connection.
func fakeServer(t *testing.T, length func([]byte) int, answer func(message []byte) []byte) (addr string, stop func() [][]byte) {
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
				stream := answerAll(conn, length, answer)
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
func answerAll(conn net.Conn, length func([]byte) int, answer func(message []byte) []byte) (stream []byte) {
	defer conn.Close()
	messages := splitter{length: length}
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return stream
		}
		stream = append(stream, buf[:n]...)
		messages.add(buf[:n])
		for m := messages.next(); m != nil; m = messages.next() {
			if _, err := conn.Write(answer(m)); err != nil {
				return stream
			}
		}
	}
}
