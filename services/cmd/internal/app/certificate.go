package app

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/statelog"
)

// ServerTLS has the settings of TLS at all addresses of the service.
type ServerTLS struct {
	TLSCert string `name:"tls-cert" env:"TLS_CERT" placeholder:"FILE" help:"Certificate of the service with those above it (PEM); all addresses speak https then. It is read again when it changes. Empty: http."`
	TLSKey  string `name:"tls-key" env:"TLS_KEY" placeholder:"FILE" help:"Key of the certificate (PEM)."`

	own *certificate // of the running service; nil: none
}

// Validate refuses one file without the other; its error names the flag.
func (s *ServerTLS) Validate() error {
	if s.TLSCert == "" && s.TLSKey != "" {
		return errors.New("--tls-key: there is no certificate for it; set --tls-cert, too")
	}
	if s.TLSCert != "" && s.TLSKey == "" {
		return errors.New("--tls-cert: there is no key for it; set --tls-key, too")
	}
	return nil
}

// URL returns the URL of an own address, for requests from this machine.
func (s *ServerTLS) URL(a Address) string {
	if s.TLSCert == "" {
		return a.URL()
	}
	return "https" + strings.TrimPrefix(a.URL(), "http")
}

// readCertificate reads the certificate, which all servers share.
func (s *ServerTLS) readCertificate(log *slog.Logger) error {
	if s.TLSCert == "" {
		return nil
	}
	s.own = &certificate{cert: s.TLSCert, key: s.TLSKey, log: log}
	return s.own.read()
}

// serverTLS returns the settings of the servers; nil: without TLS.
func (s *ServerTLS) serverTLS() *tls.Config {
	if s.own == nil {
		return nil
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.own.get}
}

// OwnClient returns a client for the own addresses, without a proxy. It trusts the
// certificate in the file of --tls-cert whatever its names are, because requests go to
// localhost, and every certificate that this machine trusts.
func (s *ServerTLS) OwnClient() *http.Client { return s.ownClient(s.verifyOwn) }

func (s *ServerTLS) ownClient(verify func(host string, state tls.ConnectionState) error) *http.Client {
	return &http.Client{Transport: &http.Transport{DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		config := &tls.Config{InsecureSkipVerify: true} //nolint:gosec // verify does
		if verify != nil {
			host, _, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			config.VerifyConnection = func(state tls.ConnectionState) error { return verify(host, state) }
		}
		return (&tls.Dialer{Config: config}).DialContext(ctx, network, address)
	}}}
}

// verifyOwn takes the host as it was dialed: a state has the names of hosts, not their addresses.
func (s *ServerTLS) verifyOwn(host string, state tls.ConnectionState) error {
	leaf := state.PeerCertificates[0]
	if bytes.Equal(leafIn(s.TLSCert), leaf.Raw) {
		return nil
	}
	others := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		others.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{DNSName: host, Intermediates: others})
	return err
}

// leafIn returns the first certificate in the file, or nil. Whoever runs a command may not read
// the key.
func leafIn(path string) []byte {
	text, _ := readSecret(path)
	for rest := []byte(text); ; {
		block, after := pem.Decode(rest)
		if block == nil {
			return nil
		}
		if block.Type == "CERTIFICATE" {
			return block.Bytes
		}
		rest = after
	}
}

// checkInterval is how often the files of a certificate are read, at most.
const checkInterval = time.Second

// certificate is the service's certificate. Handshakes read its files again, once a second at
// most. A pair that can't be used changes nothing.
type certificate struct {
	cert, key string // paths
	log       *slog.Logger
	state     statelog.State
	current   atomic.Pointer[tls.Certificate]

	mu      sync.Mutex // the others wait for nobody: they take the current one
	checked time.Time
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c.mu.TryLock() {
		defer c.mu.Unlock()
		if time.Since(c.checked) >= checkInterval {
			c.refresh()
		}
	}
	return c.current.Load(), nil
}

func (c *certificate) refresh() {
	ctx := context.Background()
	before := c.current.Load()
	err := c.read()
	c.checked = time.Now()
	switch now := c.current.Load(); {
	case err != nil:
		c.state.Down(ctx, c.log, "the new certificate can't be used; the one before stays", err, "until", before.Leaf.NotAfter.UTC().Format(time.DateTime))
	case now != before:
		c.log.InfoContext(ctx, "the certificate was read again", "for", namesOf(now.Leaf), "until", now.Leaf.NotAfter.UTC().Format(time.DateTime))
		fallthrough
	default:
		c.state.Up(ctx, c.log, "the files of the certificate can be used again")
	}
}

// read makes the pair in the files the current one.
func (c *certificate) read() error {
	pair, err := loadPair(c.cert, c.key)
	if err != nil {
		return err
	}
	before := c.current.Load()
	if before != nil && slices.EqualFunc(before.Certificate, pair.Certificate, bytes.Equal) {
		return nil
	}
	if expired := time.Now().After(pair.Leaf.NotAfter); expired && before != nil {
		return fmt.Errorf("--tls-cert: %q: it expired on %s; renew it", c.cert, pair.Leaf.NotAfter.UTC().Format(time.DateTime))
	} else if expired {
		c.log.Warn("the certificate has expired: clients refuse it", "file", c.cert, "on", pair.Leaf.NotAfter.UTC().Format(time.DateTime))
	}
	c.current.Store(&pair)
	return nil
}

// loadPair returns the certificate and its key. Its error names the setting.
func loadPair(certFile, keyFile string) (pair tls.Certificate, err error) {
	cert, err := readSecret(certFile)
	if err != nil {
		return pair, fmt.Errorf("--tls-cert: %q: %w", certFile, err)
	}
	key, err := readSecret(keyFile)
	if err != nil {
		return pair, fmt.Errorf("--tls-key: %q: %w", keyFile, err)
	}
	if pair, err = tls.X509KeyPair([]byte(cert), []byte(key)); err != nil {
		return pair, fmt.Errorf("--tls-cert: %q with the key %q: %s; give a certificate and its own key, both in PEM, the key without a password",
			certFile, keyFile, strings.TrimPrefix(err.Error(), "tls: "))
	}
	return pair, nil
}

// CheckTLS returns what there is to say about the service's own certificate.
func (s *ServerTLS) CheckTLS() []ports.Finding {
	const soon = 7 * 24 * time.Hour // a weekend, and the days to renew it
	if s.TLSCert == "" {
		return nil
	}
	f := ports.Finding{What: "certificate"}
	pair, err := loadPair(s.TLSCert, s.TLSKey)
	if err != nil {
		f.Fault, f.WayOut, _ = strings.Cut(err.Error(), "; ")
		if f.WayOut == "" {
			f.WayOut = "name a readable file"
		}
		return []ports.Finding{f}
	}
	f.Value = fmt.Sprintf("%s, valid until %s", namesOf(pair.Leaf), pair.Leaf.NotAfter.UTC().Format(time.DateOnly))
	f.WayOut = "renew it; the service reads it without a restart"
	switch now := time.Now(); {
	case now.Before(pair.Leaf.NotBefore):
		f.Fault = fmt.Sprintf("it is valid from %s on", pair.Leaf.NotBefore.UTC().Format(time.DateTime))
	case now.After(pair.Leaf.NotAfter):
		f.Fault = fmt.Sprintf("it expired on %s", pair.Leaf.NotAfter.UTC().Format(time.DateTime))
	case now.Add(soon).After(pair.Leaf.NotAfter):
		f.Fault = fmt.Sprintf("it expires in %v", time.Until(pair.Leaf.NotAfter).Round(time.Hour))
	default:
		f.WayOut = ""
	}
	return []ports.Finding{f}
}

// namesOf returns what the certificate is for.
func namesOf(c *x509.Certificate) string {
	names := c.DNSNames
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return c.Subject.String()
	}
	return strings.Join(names, ", ")
}
