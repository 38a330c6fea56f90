package webhookchannel_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/orderflow/adapters/webhookchannel"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports/porttest"
)

// fickle is a receiver that does what a fault says. An answer of a fault repeats all
// that it knows.
type fickle struct {
	server *httptest.Server

	mu    sync.Mutex
	ids   []string
	fault http.HandlerFunc // nil: it accepts
	hung  chan struct{}    // not nil: it hangs until this is closed
}

func newFickle(t testing.TB) *fickle {
	f := new(fickle)
	f.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		fault, hung := f.fault, f.hung
		f.mu.Unlock()
		switch {
		case hung != nil:
			select {
			case <-hung:
			case <-r.Context().Done():
			}
		case fault != nil:
			fault(w, r)
		default:
			io.Copy(io.Discard, r.Body)
			f.mu.Lock()
			defer f.mu.Unlock()
			f.ids = append(f.ids, r.Header.Get("webhook-id"))
		}
	}))
	f.server.Config.ErrorLog = discard
	f.server.StartTLS()
	t.Cleanup(f.server.Close)
	t.Cleanup(f.heal) // first
	return f
}

func (f *fickle) received() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.ids)
}

func (f *fickle) set(fault http.HandlerFunc) func() {
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.fault = fault
	}
}

func (f *fickle) hang() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hung = make(chan struct{})
}

func (f *fickle) heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = nil
	if f.hung != nil {
		close(f.hung)
		f.hung = nil
	}
}

func (f *fickle) faults() []porttest.ReceiverFault {
	answer := func(code int, retryAfter string) func() {
		return f.set(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if retryAfter != "" {
				w.Header().Set("Retry-After", retryAfter)
			}
			w.Header().Set("Location", "https://example.com"+r.URL.String())
			w.WriteHeader(code)
			fmt.Fprintf(w, "%s at %s, %s; the secrets are %s and %s; the body was %s", r.URL, r.URL.Path, r.URL.RawQuery, secret, oldSecret, body)
		})
	}
	cut := func(text string) func() {
		return f.set(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			io.WriteString(conn, strings.ReplaceAll(text, "URL", r.URL.String()))
			if tcp, ok := conn.(interface{ NetConn() net.Conn }); ok {
				tcp.NetConn().Close()
			}
		})
	}
	faults := []porttest.ReceiverFault{
		{Name: "410", Begin: answer(http.StatusGone, ""), Outcome: domain.Rejected, Code: "410", Gone: true},
		{Name: "429 with a time", Begin: answer(http.StatusTooManyRequests, "7"), Outcome: domain.Unreachable, Code: "429", RetryAfter: 7 * time.Second},
		{Name: "503 with a time", Begin: answer(http.StatusServiceUnavailable, "90"), Outcome: domain.Unreachable, Code: "503", RetryAfter: 90 * time.Second},
		{Name: "500 with a time", Begin: answer(http.StatusInternalServerError, "90"), Outcome: domain.Refused, Code: "500", RetryAfter: 90 * time.Second},
		{Name: "a cut connection", Begin: cut(""), Outcome: domain.Unreachable},
		{Name: "half an answer", Begin: cut("HTTP/1.1 200 OK\r\nContent-"), Outcome: domain.Unreachable},
		{Name: "another protocol", Begin: cut("502 URL\r\n"), Outcome: domain.Unreachable},
	}
	for _, code := range []int{301, 307, 400, 401, 404, 422, 500} {
		faults = append(faults, porttest.ReceiverFault{Name: fmt.Sprint(code), Begin: answer(code, ""), Outcome: domain.Refused, Code: fmt.Sprint(code)})
	}
	for _, code := range []int{408, 429, 502, 503, 504} {
		faults = append(faults, porttest.ReceiverFault{Name: fmt.Sprint(code), Begin: answer(code, ""), Outcome: domain.Unreachable, Code: fmt.Sprint(code)})
	}
	return faults
}

func TestChannel(t *testing.T) {
	porttest.Run(t, porttest.ChannelClauses(), func(t testing.TB) porttest.Channel {
		f := newFickle(t)
		c := newChannel(t, webhookchannel.Options{
			Secrets: []string{secret, oldSecret}, AllowPrivate: true, RootCAs: certificates(f.server),
		})
		return porttest.Channel{
			Channel:        c,
			Received:       f.received,
			Address:        f.server.URL + "/hooks/s3cretpath?key=s3cretkey",
			WrongAddresses: []string{"example.com", "mailto:ann@example.com", "https://", "https://example.com/#top", "https://u:s3cretkey@example.com"},
			Faults:         f.faults(),
			Hang:           f.hang,
			Heal:           f.heal,
			Secrets:        []string{"s3cretpath", "s3cretkey", secret, oldSecret},
		}
	})
}
