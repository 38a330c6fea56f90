package webhookchannel_test

import (
	"bytes"
	"context"
	"flag"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"example.com/orderflow/adapters/webhookchannel"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func verify(t *testing.T, secret string, w webhook) error {
	t.Helper()
	verifier, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	return verifier.Verify(w.body, w.header)
}

func TestSendSignsBySeveralSecrets(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		r := newReceiver(t, func(s *httptest.Server) { s.EnableHTTP2 = http2 })
		c := newChannel(t, webhookchannel.Options{Secrets: []string{secret, oldSecret}, AllowPrivate: true, RootCAs: r.roots()})
		message := outgoing(t, r.url())
		for range 2 {
			answer, err := c.Send(t.Context(), message)
			if err != nil {
				t.Fatal(err)
			}
			if want := (ports.Answer{Code: "200", Text: "thanks"}); answer != want {
				t.Errorf("answer %+v, want %+v", answer, want)
			}
		}
		got := r.received()
		if len(got) != 2 {
			t.Fatalf("%d webhooks received, want 2", len(got))
		}
		for _, w := range got {
			if want := map[bool]string{false: "HTTP/1.1", true: "HTTP/2.0"}[http2]; w.proto != want {
				t.Errorf("sent by %s, want %s", w.proto, want)
			}
			if id := w.header.Get("webhook-id"); id != message.ID {
				t.Errorf("webhook-id %q, want %q at each attempt", id, message.ID)
			}
			for _, s := range []string{secret, oldSecret} {
				if err := verify(t, s, w); err != nil {
					t.Errorf("one of the two secrets does not verify: %v", err)
				}
			}
			if err := verify(t, "whsec_YW5vdGhlci1hbm90aGVyLWFub3RoZXItYQ==", w); err == nil {
				t.Error("verified by another secret")
			}
			first, _, _ := strings.Cut(w.header.Get("webhook-signature"), " ")
			w.header.Set("webhook-signature", first)
			if err := verify(t, secret, w); err != nil {
				t.Errorf("the first signature is not the first secret's: %v", err)
			}
		}
	}
}

func TestSendTimestampIsTheAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stamps []int64
		c := piped(t, func(conn net.Conn) {
			request := readRequest(t, conn)
			stamp, err := strconv.ParseInt(request.Header.Get("webhook-timestamp"), 10, 64)
			if err != nil {
				t.Error(err)
			}
			stamps = append(stamps, stamp)
			conn.Write([]byte("HTTP/1.1 503 \r\nConnection: close\r\n\r\n"))
		})
		var want []int64
		for range 2 {
			want = append(want, time.Now().Unix())
			if _, err := c.Send(t.Context(), outgoing(t, address)); !ports.IsPostponed(err) {
				t.Errorf("got %v, want it marked by Postpone", err)
			}
			time.Sleep(time.Hour)
		}
		if diff := cmp.Diff(want, stamps); diff != "" {
			t.Errorf("timestamps (-want +got):\n%s", diff)
		}
	})
}

// The golden files are requests as they are sent.
func TestSendGolden(t *testing.T) {
	at := time.Date(2026, 11, 20, 9, 30, 0, 0, time.UTC)
	tests := map[string]func(*ports.Outgoing){
		"order.http": func(*ports.Outgoing) {},
		"test.http":  func(m *ports.Outgoing) { m.Test = true },
		"alert.http": func(m *ports.Outgoing) {
			m.ID = "alert-1"
			m.Event = domain.Event{Time: at}
			m.Content = ports.Content{Language: "en", Subject: "Channel email paused", Text: "mail.example.com:\n\"no\" <answer>"}
		},
		"content.http": func(m *ports.Outgoing) {
			m.Event = newEvent(t, "Bücher & <Hefte> 📚")
			m.Content = ports.Content{Language: "de", Subject: "for people", Text: "not for programs"}
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got []byte
				c := piped(t, func(conn net.Conn) {
					var sent bytes.Buffer
					readRequest(t, io.TeeReader(conn, &sent))
					got = sent.Bytes()
					conn.Write([]byte("HTTP/1.1 204 \r\nConnection: close\r\n\r\n"))
				})
				message := outgoing(t, address)
				change(&message)
				if answer, err := c.Send(t.Context(), message); err != nil || answer != (ports.Answer{Code: "204"}) {
					t.Fatalf("got %+v, %v, want code 204", answer, err)
				}
				file := filepath.Join("testdata", name)
				if *update {
					if err := os.WriteFile(file, append(got, '\n'), 0o666); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
					t.Errorf("request (-want +got; -update rewrites the golden file):\n%s", diff)
				}
			})
		})
	}
}

func TestSendRefusesWhatCanNotBeSent(t *testing.T) {
	tests := map[string]func(*ports.Outgoing){
		"no address":          func(m *ports.Outgoing) { m.Address = "" },
		"malformed address":   func(m *ports.Outgoing) { m.Address = "https://example.com:s3cretkey/" },
		"no id":               func(m *ports.Outgoing) { m.ID = "" },
		"line break in id":    func(m *ports.Outgoing) { m.ID = "a\r\nb: c" },
		"event without order": func(m *ports.Outgoing) { m.Event.Order = domain.Order{} },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			c := newChannel(t, webhookchannel.Options{AllowPrivate: true})
			c.SetDial(func(context.Context, string, string) (net.Conn, error) {
				t.Error("dialled")
				return nil, net.ErrClosed
			})
			message := outgoing(t, "https://127.0.0.1/s3cretpath")
			change(&message)
			answer, err := c.Send(t.Context(), message)
			if mark(err) != "permanent" || answer != (ports.Answer{}) {
				t.Errorf("got %+v, %v, want no answer and an error marked by Permanent", answer, err)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}

func TestSendPostponesFaultsOfTLS(t *testing.T) {
	r := newReceiver(t, func(s *httptest.Server) { s.Config.ErrorLog = discard })
	c := newChannel(t, webhookchannel.Options{AllowPrivate: true}) // does not trust the receiver's certificate
	if _, err := c.Send(t.Context(), outgoing(t, r.url())); mark(err) != "postponed" || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("got %v, want it marked by Postpone and about the certificate", err)
	}
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	if _, err := c.Send(t.Context(), outgoing(t, strings.Replace(plain.URL, "http:", "https:", 1))); mark(err) != "postponed" {
		t.Errorf("a receiver without TLS: got %v, want it marked by Postpone", err)
	}
	if got := r.received(); len(got) != 0 {
		t.Errorf("%d webhooks received, want none", len(got))
	}
}

func TestSendPostponesRefusedConnections(t *testing.T) {
	r := newReceiver(t)
	r.server.Close()
	c := newChannel(t, webhookchannel.Options{AllowPrivate: true})
	_, err := c.Send(t.Context(), outgoing(t, r.url()))
	want := "connect: connection refused (webhook to " + r.server.Listener.Addr().String() + ")"
	if mark(err) != "postponed" || err.Error() != want {
		t.Errorf("got %v, want %s, marked by Postpone", err, want)
	}
}

func TestNewChecksSecrets(t *testing.T) {
	raw := func(n int) string { return base64Of(bytes.Repeat([]byte{7}, n)) }
	tests := []struct {
		name    string
		secrets []string
		want    string // part of the error; empty: none
	}{
		{"24 bytes", []string{"whsec_" + raw(24)}, ""},
		{"64 bytes", []string{"whsec_" + raw(64)}, ""},
		{"none", []string{}, "no secret"},
		{"an empty one", []string{""}, "secret 1 of 1"},
		{"only the prefix", []string{"whsec_"}, "secret 1 of 1"},
		{"23 bytes", []string{secret, "whsec_" + raw(23)}, "secret 2 of 2"},
		{"65 bytes", []string{"whsec_" + raw(65)}, "secret 1 of 1"},
		{"without prefix", []string{raw(24)}, "secret 1 of 1"},
		{"not base64", []string{"whsec_s3cret-s3cret-s3cret-s3cret"}, "secret 1 of 1"},
		{"without padding", []string{"whsec_" + strings.TrimRight(raw(25), "=")}, "secret 1 of 1"},
		{"a line break inside", []string{"whsec_" + raw(24) + "\n"}, "secret 1 of 1"},
		{"asymmetric", []string{"whsk_" + raw(64)}, "secret 1 of 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := webhookchannel.New(webhookchannel.Options{Secrets: tt.secrets})
			switch {
			case tt.want == "" && (err != nil || c.Name() != "webhook"):
				t.Errorf("got %v, %v, want a channel named webhook", c, err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got error %v, want %q in it", err, tt.want)
			}
			for _, s := range tt.secrets {
				if err != nil && len(s) > len("whsec_") && strings.Contains(err.Error(), s[6:]) {
					t.Errorf("the error shows the secret: %v", err)
				}
			}
		})
	}
}
