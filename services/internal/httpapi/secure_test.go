package httpapi

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/orderflow/adapters/tlstest"
)

// newTLS returns settings of a server and of a client that trusts it.
func newTLS(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	authority := tlstest.NewAuthority(t)
	pair := authority.Issue(t, time.Now().Add(time.Hour))
	now := time.Now()
	at := func() time.Time { return now } // also where time is faked
	return &tls.Config{Certificates: []tls.Certificate{pair.Certificate}, Time: at}, &tls.Config{RootCAs: authority.Pool(), ServerName: "localhost", Time: at}
}

// serveTLS serves by TLS until the test ends.
func serveTLS(t *testing.T, config *tls.Config, handler http.HandlerFunc) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- Server{Handler: handler, TLS: config, Grace: time.Second, Log: discardLog}.Serve(ctx, listener)
	}()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

// The server speaks HTTP/1.1 by TLS 1.2 and later, also to clients that offer HTTP/2.
func TestServeTLS(t *testing.T) {
	config, clientConfig := newTLS(t)
	address := serveTLS(t, config, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %v %d", r.Proto, r.TLS != nil && r.TLS.HandshakeComplete, len(body))
	})
	for _, tt := range []struct {
		version uint16
		want    string
	}{{tls.VersionTLS13, "HTTP/1.1 true 200000"}, {tls.VersionTLS12, "HTTP/1.1 true 200000"}, {tls.VersionTLS11, "protocol version"}} {
		of := clientConfig.Clone()
		of.MinVersion, of.MaxVersion = tt.version, tt.version
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: of, ForceAttemptHTTP2: true}, Timeout: 30 * time.Second}
		for range 2 { // by the same connection
			response, err := client.Post("https://"+address, "text/plain", strings.NewReader(strings.Repeat("x", 200000)))
			got := fmt.Sprint(err)
			if err == nil {
				body, _ := io.ReadAll(response.Body)
				response.Body.Close()
				got = string(body)
			}
			if !strings.Contains(got, tt.want) {
				t.Errorf("%s: %s, want %s", tls.VersionName(tt.version), got, tt.want)
			}
		}
		client.CloseIdleConnections()
	}

	plain := &http.Client{Transport: new(http.Transport), Timeout: 30 * time.Second}
	response, err := plain.Get("http://" + address)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); response.StatusCode != 400 || !strings.Contains(string(body), "https alone") {
		t.Errorf("a request without TLS: answered %s %s", response.Status, body)
	}
}

// pipe returns a server's connection by TLS and the raw end of its client.
func pipe(config *tls.Config) (*connection, net.Conn) {
	client, server := net.Pipe()
	c := &connection{Conn: server}
	c.secured(config, discardLog)
	return c, client
}

// Headers take memory as without TLS, and the handshake takes none.
func TestHeaderMemoryByTLS(t *testing.T) {
	config, clientConfig := newTLS(t)
	before := free()
	c, raw := pipe(config)
	client := tls.Client(raw, clientConfig)
	defer raw.Close()
	write := func(n int) {
		t.Helper()
		go func() { _, _ = client.Write(make([]byte, n)) }()
	}
	write(freeHeader)
	if _, err := io.ReadFull(c, make([]byte, freeHeader)); err != nil || free() != before {
		t.Fatalf("%d bytes are reserved for a small header, %v", before-free(), err)
	}
	// One record of TLS has the whole header. The server still reads it in parts.
	write(3 * small)
	if n, err := c.Read(make([]byte, small)); n > freeHeader || err != nil || before-free() != (freeHeader+n)*headerCost {
		t.Errorf("read %d bytes and reserved %d, %v", n, before-free(), err)
	}
	c.endHeader()
	if free() != before {
		t.Errorf("%d bytes stay reserved", before-free())
	}
	c.beginHeader()
	takeAll(t)
	if _, err := io.ReadFull(c, make([]byte, small)); err == nil {
		t.Error("read a large header without memory")
	}
}

// A handshake is bounded in bytes and in time.
func TestLongHandshake(t *testing.T) {
	config, _ := newTLS(t)
	synctest.Test(t, func(t *testing.T) {
		l, offered, _ := newBounded(8)
		l.tls = config
		server := &http.Server{Handler: http.NotFoundHandler(), ConnState: l.noteState, ConnContext: withConnection, ReadHeaderTimeout: headerTimeout}
		served := make(chan error, 1)
		go func() { served <- server.Serve(l) }()
		defer func() {
			server.Close()
			<-served
		}()
		silent := offered.dial()
		began := time.Now()
		_, err := silent.Read(make([]byte, 1))
		if waited := time.Since(began); err != io.EOF || waited != headerTimeout {
			t.Errorf("a silent client: %v after %v", err, waited)
		}

		long := offered.dial()
		sent := 0
		go io.Copy(io.Discard, long)
		record := append([]byte{22, 3, 1, 0x10, 0}, make([]byte, 0x1000)...) // a part of a message of 64 KB
		record[5], record[6], record[7] = 1, 0xff, 0xff
		for err = nil; err == nil && sent < 1<<20; {
			var n int
			n, err = long.Write(record)
			sent += n
			record[5], record[6], record[7] = 0, 0, 0
		}
		if sent > maxHandshake {
			t.Errorf("the server has read %d bytes of a handshake, %v", sent, err)
		}
		for _, c := range []net.Conn{silent, long} {
			c.Close()
		}
		synctest.Wait()
		if len(l.within) != 0 {
			t.Errorf("%d connections are counted as open", len(l.within))
		}
	})
}

// A connection that is closed for the next one waits for no client that reads nothing, and an
// idle one by TLS makes room.
func TestRoomByTLS(t *testing.T) {
	config, clientConfig := newTLS(t)
	synctest.Test(t, func(t *testing.T) {
		l, offered, _ := newBounded(fixedBound(1).connections)
		l.tls = config
		stop := serveBounded(l)
		defer stop()
		var raws []net.Conn
		ask := func() error {
			raw := offered.dial()
			raws = append(raws, raw)
			client := tls.Client(raw, clientConfig)
			if _, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
				return err
			}
			response, err := http.ReadResponse(bufio.NewReader(client), nil)
			if err == nil && response.StatusCode != 404 {
				err = errors.New(response.Status)
			}
			return err
		}
		if err := ask(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * idleTime)
		began := time.Now()
		if err := ask(); err != nil { // the first client reads nothing any more
			t.Fatal(err)
		}
		if waited := time.Since(began); waited > farewellTime {
			t.Errorf("the second client has waited %v", waited)
		}
		for _, raw := range raws {
			raw.Close()
		}
	})
}

// A connection whose own answer by TLS is not read, such as one to a change of keys, can be
// closed at once: whoever closes it may have a lock.
func TestCloseWhileTLSAnswers(t *testing.T) {
	config, clientConfig := newTLS(t)
	plain, raw := net.Pipe()
	defer raw.Close()
	c := &connection{Conn: plain}
	c.secured(config, discardLog)
	read := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 1))
		read <- err
	}()
	client := tls.Client(raw, clientConfig)
	go io.WriteString(client, "x") // with the handshake
	if err := <-read; err != nil {
		t.Fatal(err)
	}
	go func() {
		_, err := c.Read(make([]byte, 1))
		read <- err
	}()
	if _, err := raw.Write([]byte{23, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20}); err != nil { // a wrong record: its answer is an alert
		t.Fatal(err)
	}
	if _, err := raw.Read(make([]byte, 1)); err != nil { // and no more of it
		t.Fatal(err)
	}
	began := time.Now()
	_ = c.Close()
	if waited := time.Since(began); waited >= headerTimeout/2 {
		t.Errorf("closing has waited %v", waited)
	}
	<-read
}
