package webhookchannel_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"

	"example.com/orderflow/adapters/webhookchannel"
)

// address is that of the receivers behind pipes.
const address = "http://hooks.example.com/hooks/s3cretpath?key=s3cretkey"

var discard = log.New(io.Discard, "", 0)

func base64Of(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// piped returns a channel whose network is pipes, so that it works in virtual time.
// serve has the receiver's end of each, which is closed afterwards.
func piped(t *testing.T, serve func(conn net.Conn)) *webhookchannel.Channel {
	t.Helper()
	var servers sync.WaitGroup
	t.Cleanup(servers.Wait)
	c := newChannel(t, webhookchannel.Options{Secrets: []string{secret, oldSecret}, AllowPrivate: true})
	c.SetDial(func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		servers.Go(func() {
			defer server.Close()
			serve(server)
		})
		return client, nil
	})
	return c
}

// readRequest reads a request with its body.
func readRequest(t *testing.T, from io.Reader) *http.Request {
	t.Helper()
	request, err := http.ReadRequest(bufio.NewReader(from))
	if err != nil {
		t.Error(err)
		return new(http.Request)
	}
	if _, err := io.Copy(io.Discard, request.Body); err != nil {
		t.Error(err)
	}
	return request
}
