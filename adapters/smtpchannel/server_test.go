package smtpchannel_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"example.com/orderflow/adapters/smtpchannel"
)

const (
	user     = "shop"
	password = "0pen-s3same/?#"
)

// received is a mail as a server has accepted it.
type received struct {
	from, to string
	tls      bool
	mail     string
}

// mailServer is a real SMTP server.
type mailServer struct {
	address string // host and port
	ca      string // the file of its certificate

	mu       sync.Mutex
	mails    []received
	sessions int // how many have begun
	conns    map[net.Conn]bool
	refusal  map[string]error // by step: auth, mail, rcpt or data
	down     bool             // refuses connections
	hung     chan struct{}    // not nil: recipients get no answer until it is closed
}

type serverOptions struct {
	implicitTLS, noTLS bool
	mechanisms         []string // default: PLAIN
}

// newServer starts a server, which the test's end stops.
func newServer(t testing.TB, options serverOptions) *mailServer {
	t.Helper()
	s := &mailServer{conns: make(map[net.Conn]bool)}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = listener.Addr().String()
	listener = &countedListener{listener, s}
	config := new(tls.Config)
	config.Certificates, s.ca = certificate(t, "127.0.0.1")
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.sessions++
		return &serverSession{server: s, conn: c, mechanisms: options.mechanisms}, nil
	}))
	server.Domain = "mail.example.com"
	server.AllowInsecureAuth = options.noTLS
	server.ErrorLog = quietLog{}
	if options.implicitTLS {
		listener = tls.NewListener(listener, config)
	} else if !options.noTLS {
		server.TLSConfig = config
	}
	var serving sync.WaitGroup
	serving.Go(func() { server.Serve(listener) })
	t.Cleanup(func() {
		s.become(nil, false)()
		server.Close()
		listener.Close() // the server may not know it yet
		serving.Wait()
	})
	return s
}

type quietLog struct{}

func (quietLog) Printf(string, ...any) {}
func (quietLog) Println(...any)        {}

// countedListener knows the open connections, so that the server can cut them.
type countedListener struct {
	net.Listener
	server *mailServer
}

func (l *countedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		l.server.mu.Lock()
		down := l.server.down
		l.server.conns[c] = true
		l.server.mu.Unlock()
		if !down {
			return c, nil
		}
		c.Close()
	}
}

// cut ends all connections.
func (s *mailServer) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
	clear(s.conns)
}

// become returns a function that changes what the server does.
func (s *mailServer) become(refusal map[string]error, down bool) func() {
	return func() {
		s.mu.Lock()
		s.refusal, s.down = refusal, down
		if s.hung != nil {
			close(s.hung)
			s.hung = nil
		}
		s.mu.Unlock()
		if down {
			s.cut()
		}
	}
}

func (s *mailServer) hang() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hung = make(chan struct{})
}

func (s *mailServer) answer(step string) error {
	s.mu.Lock()
	err, hung := s.refusal[step], s.hung
	s.mu.Unlock()
	if hung != nil {
		<-hung
		return errors.New("too late")
	}
	return err
}

func (s *mailServer) accepted() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mails)
}

func (s *mailServer) begun() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions
}

type serverSession struct {
	server     *mailServer
	conn       *smtp.Conn
	mechanisms []string
	loggedIn   bool
	from, to   string
}

func (s *serverSession) AuthMechanisms() []string {
	if s.mechanisms == nil {
		return []string{sasl.Plain}
	}
	return s.mechanisms
}

func (s *serverSession) Auth(mechanism string) (sasl.Server, error) {
	check := func(name, pass string) error {
		if err := s.server.answer("auth"); err != nil {
			return err
		}
		if name != user || pass != password {
			return smtp.ErrAuthFailed
		}
		s.loggedIn = true
		return nil
	}
	if mechanism == sasl.Login {
		return &loginServer{check: check}, nil
	}
	return sasl.NewPlainServer(func(_, name, pass string) error { return check(name, pass) }), nil
}

// loginServer is the server's side of LOGIN.
type loginServer struct {
	check func(name, pass string) error
	said  []string
}

func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	if response != nil {
		l.said = append(l.said, string(response))
	}
	switch len(l.said) {
	case 0:
		return []byte("Username:"), false, nil
	case 1:
		return []byte("Password:"), false, nil
	}
	return nil, true, l.check(l.said[0], l.said[1])
}

func (s *serverSession) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	if !s.loggedIn {
		return smtp.ErrAuthRequired
	}
	return s.server.answer("mail")
}

func (s *serverSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = to
	return s.server.answer("rcpt")
}

func (s *serverSession) Data(r io.Reader) error {
	mail, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := s.server.answer("data"); err != nil {
		return err
	}
	_, encrypted := s.conn.TLSConnectionState()
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.mails = append(s.server.mails, received{from: s.from, to: s.to, tls: encrypted, mail: string(mail)})
	return nil
}

func (s *serverSession) Reset()        {}
func (s *serverSession) Logout() error { return nil }

// certificate makes a certificate, and a file with it.
func certificate(t testing.TB, host string) ([]tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "mail server"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IPAddresses:           []net.IP{net.ParseIP(host)},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, file
}

// open opens a channel to the server, which the test's end closes.
func open(t testing.TB, scheme, server string, options url.Values) *smtpchannel.Channel {
	t.Helper()
	if !options.Has("from") {
		options.Set("from", "Shop <shop@example.com>")
	}
	address := fmt.Sprintf("%s://%s@%s/?%s", scheme, url.UserPassword(user, password), server, options.Encode())
	c, err := smtpchannel.Open(address, smtpchannel.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
