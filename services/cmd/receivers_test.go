package cmd_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/mail"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"
)

// inbox keeps what a receiver gets.
type inbox struct {
	mu       sync.Mutex
	messages []received
}

type received struct {
	id, to string
	body   []byte
}

func (i *inbox) add(m received) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.messages = append(i.messages, m)
}

func (i *inbox) all() []received {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]received(nil), i.messages...)
}

// check returns an error unless the inbox has exactly this number of messages, or more
// if some are allowed to come twice.
func (i *inbox) check(distinct, repeats int) error {
	ids := make(map[string]bool)
	all := i.all()
	for _, m := range all {
		ids[m.id] = true
	}
	if len(ids) != distinct || len(all) > distinct+repeats {
		return fmt.Errorf("%d messages, %d of them distinct; want %d, and at most %d repeats", len(all), len(ids), distinct, repeats)
	}
	return nil
}

// mailServer is a mail server in this process, which can be stopped and started again
// at the same address.
type mailServer struct {
	inbox
	address string
	server  *smtp.Server
}

func startMailServer(t *testing.T) *mailServer {
	t.Helper()
	m := &mailServer{address: freeAddress(t)}
	m.start(t)
	t.Cleanup(m.stop)
	return m
}

func (m *mailServer) start(t *testing.T) {
	t.Helper()
	listener := listen(t, m.address)
	m.server = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &mailSession{server: m}, nil }))
	m.server.Domain = "localhost"
	go func() { _ = m.server.Serve(listener) }() // ends with Close
}

func (m *mailServer) stop() { _ = m.server.Close() }

type mailSession struct {
	server *mailServer
	to     string
}

func (s *mailSession) Reset()                                    {}
func (s *mailSession) Logout() error                             { return nil }
func (s *mailSession) Mail(string, *smtp.MailOptions) error      { return nil }
func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error { s.to = to; return nil }
func (s *mailSession) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	message, err := mail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		return err
	}
	s.server.add(received{message.Header.Get("Message-ID"), s.to, data})
	return nil
}

// webhookReceiver is a receiver of webhooks, which can be stopped and started again at
// the same address.
type webhookReceiver struct {
	inbox
	address string
	server  *http.Server
}

func startWebhookReceiver(t *testing.T) *webhookReceiver {
	t.Helper()
	w := &webhookReceiver{address: freeAddress(t)}
	w.start(t)
	t.Cleanup(w.stop)
	return w
}

func (w *webhookReceiver) start(t *testing.T) {
	t.Helper()
	listener := listen(t, w.address)
	w.server = &http.Server{Handler: w}
	go func() { _ = w.server.Serve(listener) }() // ends with Close
}

func (w *webhookReceiver) stop() { _ = w.server.Close() }

func (w *webhookReceiver) ServeHTTP(answer http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Header.Get("Webhook-Signature") == "" {
		answer.WriteHeader(http.StatusBadRequest)
		return
	}
	w.add(received{r.Header.Get("Webhook-Id"), r.URL.Path, body})
}

// listen listens at the address, which the system may not have released yet.
func listen(t *testing.T, address string) net.Listener {
	t.Helper()
	var listener net.Listener
	eventually(t, func() (err error) {
		listener, err = net.Listen("tcp", address)
		return err
	})
	return listener
}
