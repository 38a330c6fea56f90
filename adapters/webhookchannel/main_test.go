package webhookchannel_test

import (
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/orderflow/adapters/webhookchannel"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

func TestMain(m *testing.M) {
	// A channel that used the environment's proxy would reach no name. Go uses no
	// proxy for 127.0.0.1.
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY"} {
		os.Setenv(name, "http://127.0.0.1:1")
	}
	goleak.VerifyTestMain(m)
}

const (
	secret    = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
	oldSecret = "whsec_b2xkLW9sZC1vbGQtb2xkLW9sZC1vbGQtb2xk"
)

func newChannel(t testing.TB, options webhookchannel.Options) *webhookchannel.Channel {
	t.Helper()
	if options.Secrets == nil {
		options.Secrets = []string{secret}
	}
	c, err := webhookchannel.New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// webhook is one as received.
type webhook struct {
	header http.Header
	body   []byte
	proto  string
}

// receiver accepts webhooks by HTTPS.
type receiver struct {
	server *httptest.Server

	mu       sync.Mutex
	webhooks []webhook
}

func newReceiver(t testing.TB, configure ...func(*httptest.Server)) *receiver {
	r := new(receiver)
	r.server = httptest.NewUnstartedServer(r)
	for _, set := range configure {
		set(r.server)
	}
	r.server.StartTLS()
	t.Cleanup(r.server.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.webhooks = append(r.webhooks, webhook{request.Header.Clone(), body, request.Proto})
	io.WriteString(w, "thanks")
}

func (r *receiver) received() []webhook {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.webhooks)
}

func (r *receiver) roots() *x509.CertPool { return certificates(r.server) }

func certificates(server *httptest.Server) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	return pool
}

// url returns the receiver's URL with a path that is a secret.
func (r *receiver) url() string { return r.server.URL + "/hooks/s3cretpath?key=s3cretkey" }

// port returns the receiver's port, with a colon.
func (r *receiver) port() string {
	return r.server.URL[strings.LastIndexByte(r.server.URL, ':'):]
}

func newEvent(t testing.TB, product string) domain.Event {
	t.Helper()
	at := time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)
	o, err := domain.NewOrder("0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234", "123", product, 2, at)
	if err != nil {
		t.Fatal(err)
	}
	return o.Created()
}

func outgoing(t testing.TB, address string) ports.Outgoing {
	event := newEvent(t, "Laptop")
	return ports.Outgoing{ID: string(event.ID) + ".webhook.user", Event: event, Attempt: 1, Address: address}
}

// mark names the marks of an error.
func mark(err error) string {
	switch {
	case err == nil:
		return ""
	case ports.IsGone(err) && ports.IsPermanent(err):
		return "gone"
	case ports.IsPermanent(err) && !ports.IsPostponed(err):
		return "permanent"
	case ports.IsPostponed(err) && !ports.IsPermanent(err):
		return "postponed"
	case ports.IsPostponed(err) || ports.IsPermanent(err):
		return "contradictory"
	}
	return "refused"
}
