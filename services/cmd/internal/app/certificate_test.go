package app

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/orderflow/adapters/tlstest"
	"example.com/orderflow/services/internal/httpapi"
	"example.com/orderflow/services/internal/logtest"
)

// pairFiles are the files of a service's certificate, which tests change.
type pairFiles struct {
	t         *testing.T
	authority *tlstest.Authority
	cert, key string
}

func newPairFiles(t *testing.T) *pairFiles {
	folder := t.TempDir()
	f := &pairFiles{t, tlstest.NewAuthority(t), filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key")}
	f.use(f.issue(time.Hour))
	return f
}

func (f *pairFiles) issue(valid time.Duration) tlstest.Certificate {
	return f.authority.Issue(f.t, time.Now().Add(valid))
}

// use writes the pair into the files.
func (f *pairFiles) use(pair tlstest.Certificate) {
	f.t.Helper()
	f.copy(pair.File, f.cert)
	f.copy(pair.KeyFile, f.key)
}

func (f *pairFiles) copy(from, to string) {
	f.t.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, text, 0o600)
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

// listen serves by TLS with the settings until the test ends, and answers 200.
func listen(t *testing.T, settings *ServerTLS, log *slog.Logger) (address string) {
	t.Helper()
	if err := settings.readCertificate(log); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = httpapi.WriteJSON(w, http.StatusOK, map[string]string{"status": "ready"})
	})
	go func() {
		served <- httpapi.Server{Handler: handler, TLS: settings.serverTLS(), Grace: time.Second, Log: log}.Serve(ctx, listener)
	}()
	t.Cleanup(func() { stop(); <-served })
	return listener.Addr().String()
}

// shown returns the certificate that the server shows to a client of the authority.
func (f *pairFiles) shown(address string) *x509.Certificate {
	f.t.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: f.authority.Pool(), ServerName: "localhost"})
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0]
}

// A new pair is shown soon, without a restart. A bad one is logged, and the one before stays.
func TestCertificateChanges(t *testing.T) {
	f := newPairFiles(t)
	var log logtest.Buffer
	settings := &ServerTLS{TLSCert: f.cert, TLSKey: f.key}
	address := listen(t, settings, slog.New(slog.NewTextHandler(&log, nil)))
	first := f.shown(address)
	again := func() *x509.Certificate {
		settings.own.mu.Lock()
		settings.own.checked = time.Time{} // a second is over
		settings.own.mu.Unlock()
		return f.shown(address)
	}

	second := f.issue(2 * time.Hour)
	f.copy(second.File, f.cert) // and not yet its key
	if !again().Equal(first) || !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "private key does not match public key") {
		t.Errorf("half a pair: the log is %s", log.String())
	}
	f.copy(second.KeyFile, f.key)
	if !again().Equal(second.Leaf) || !strings.Contains(log.String(), "the certificate was read again") || !strings.Contains(log.String(), "can be used again") {
		t.Errorf("a new pair is not shown: the log is %s", log.String())
	}

	for name, spoil := range map[string]func(){
		"no PEM":   func() { _ = os.WriteFile(f.cert, []byte("x"), 0o600) },
		"empty":    func() { _ = os.WriteFile(f.key, nil, 0o600) },
		"no files": func() { _ = errors.Join(os.Remove(f.cert), os.Remove(f.key)) },
		"expired":  func() { f.use(f.issue(-time.Hour)) },
		"too large": func() {
			_ = os.WriteFile(f.cert, bytes.Repeat([]byte("x"), maxSecret+1), 0o600)
		},
	} {
		spoil()
		if !again().Equal(second.Leaf) || !settings.own.state.IsDown() {
			t.Errorf("%s: the pair before is not shown, or nothing is said", name)
		}
		f.use(second)
		if !again().Equal(second.Leaf) || settings.own.state.IsDown() {
			t.Errorf("after %s: the pair is not read again", name)
		}
	}

	// Clients that connect meanwhile always get a whole pair.
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					again()
				}
			}
		})
	}
	for range 20 {
		f.use(f.issue(time.Hour))
	}
	close(stop)
	wg.Wait()
}

// The commands reach the own address whatever the certificate's names are. They refuse
// another service's certificate, except the health check, which sends nothing.
func TestOwnClient(t *testing.T) {
	f := newPairFiles(t)
	f.use(f.authority.Issue(t, time.Now().Add(time.Hour), "orders.example.com"))
	settings := &ServerTLS{TLSCert: f.cert, TLSKey: f.key}
	address := listen(t, settings, slog.New(slog.DiscardHandler))
	if got := settings.URL(Address(":8080")); got != "https://localhost:8080" {
		t.Errorf("the URL is %s", got)
	}
	if got := new(ServerTLS).URL(Address(":8080")); got != "http://localhost:8080" {
		t.Errorf("without TLS the URL is %s", got)
	}
	var ready Readiness
	if err := getJSON(t.Context(), settings.OwnClient(), "https://"+address+"/readyz", &ready); err != nil || ready.Status != "ready" {
		t.Errorf("the own service: %+v, %v", ready, err)
	}
	if err := getJSON(t.Context(), (&ServerTLS{TLSCert: f.cert, TLSKey: "unreadable"}).OwnClient(), "https://"+address+"/readyz", &ready); err != nil {
		t.Errorf("without the right to read the key: %v", err)
	}
	if r := settings.AskReadiness(t.Context(), "https://"+address); r.Status != "ready" {
		t.Errorf("the own readiness is %+v", r)
	}
	other := newPairFiles(t)
	stranger := &ServerTLS{TLSCert: other.cert, TLSKey: other.key}
	if err := getJSON(t.Context(), stranger.OwnClient(), "https://"+address+"/readyz", &ready); !errors.As(err, new(x509.HostnameError)) {
		t.Errorf("another's service, whose certificate is not for %s: %v", address, err)
	}
	if _, err := stranger.askReady(t.Context(), "https://"+address+"/readyz"); err != nil {
		t.Errorf("the health check: %v", err)
	}
	_ = os.WriteFile(f.key, []byte("x"), 0o600) // a renewal that has gone wrong
	if _, err := settings.askReady(t.Context(), "https://"+address+"/readyz"); err != nil {
		t.Errorf("the health check with a bad new pair: %v", err)
	}
}

func TestCheckTLS(t *testing.T) {
	f := newPairFiles(t)
	if found := new(ServerTLS).CheckTLS(); found != nil {
		t.Errorf("without TLS: %v", found)
	}
	for valid, want := range map[time.Duration]string{
		30 * 24 * time.Hour: "", 48*time.Hour + time.Minute: "it expires in 48h0m0s", -time.Hour: "it expired on ",
	} {
		f.use(f.issue(valid))
		found := (&ServerTLS{TLSCert: f.cert, TLSKey: f.key}).CheckTLS()
		if len(found) != 1 || (found[0].Fault == "") != (want == "") || !strings.HasPrefix(found[0].Fault, want) || (found[0].WayOut == "") != (want == "") || !strings.HasPrefix(found[0].Value, "localhost, 127.0.0.1, ::1, valid until 20") {
			t.Errorf("valid for %v: %+v", valid, found)
		}
	}
	for name, tt := range map[string]struct{ cert, key, want string }{
		"no files":   {"nowhere", f.key, `--tls-cert: "nowhere": `},
		"no key":     {f.cert, "nowhere", `--tls-key: "nowhere": `},
		"exchanged":  {f.key, f.cert, "--tls-cert: "},
		"other key":  {f.cert, newPairFiles(t).key, "private key does not match public key"},
		"a key in 2": {f.cert, f.cert, "found a certificate rather than a key"},
	} {
		settings := &ServerTLS{TLSCert: tt.cert, TLSKey: tt.key}
		found := settings.CheckTLS()
		if len(found) != 1 || !strings.Contains(found[0].Fault, tt.want) || found[0].WayOut == "" {
			t.Errorf("%s: %+v", name, found)
		}
		if err := settings.readCertificate(slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(fmt.Sprint(err), tt.want) {
			t.Errorf("%s: the start ends with %v", name, err)
		}
	}
}
