// Package tlstest makes certificates for tests, and puts TLS in front of servers that have
// none.
package tlstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Authority signs certificates.
type Authority struct {
	File string // its own certificate, in PEM

	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// Certificate is a certificate with its key, and the files that have them, in PEM.
type Certificate struct {
	tls.Certificate
	File, KeyFile string
	BothFile      string // certificate and key
}

// NewAuthority returns an authority that nobody knows.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := new(Authority)
	made := issue(t, &x509.Certificate{
		Subject:  pkix.Name{CommonName: "authority of a test"},
		NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil)
	a.File, a.certificate, a.key = made.File, made.Leaf, made.PrivateKey.(*ecdsa.PrivateKey)
	return a
}

// Pool returns the pool that has only this authority.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

// Issue returns a certificate for a server or a client, valid until the time, for the name
// or for localhost.
func (a *Authority) Issue(t testing.TB, until time.Time, name ...string) Certificate {
	t.Helper()
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "certificate of a test"},
		NotAfter:    until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:    name,
	}
	if len(name) == 0 {
		template.DNSNames, template.IPAddresses = []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	}
	return issue(t, template, a)
}

func issue(t testing.TB, template *x509.Certificate, by *Authority) Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore = time.Now().Add(-30 * 24 * time.Hour)
	parent, signer := template, key
	if by != nil {
		parent, signer = by.certificate, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	certificatePEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	folder := t.TempDir()
	write := func(name string, text []byte) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return Certificate{
		Certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf},
		File:        write("certificate.pem", certificatePEM), KeyFile: write("key.pem", keyPEM),
		BothFile: write("both.pem", append(append([]byte{}, certificatePEM...), keyPEM...)),
	}
}

// Proxy accepts connections by TLS until the test ends, and passes what they say on to the
// server at the address. It returns its own address, localhost:PORT.
func Proxy(t testing.TB, server string, config *tls.Config) string {
	t.Helper()
	listener, err := tls.Listen("tcp", "localhost:0", config)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	ended := false
	keep := func(c net.Conn) {
		mu.Lock()
		defer mu.Unlock()
		if open[c] = true; ended {
			c.Close()
		}
	}
	t.Cleanup(func() {
		listener.Close()
		mu.Lock()
		ended = true
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	pass := func(client net.Conn) {
		defer client.Close()
		if client.(*tls.Conn).Handshake() != nil {
			return
		}
		to, err := net.Dial("tcp", server)
		if err != nil {
			return
		}
		keep(to)
		wg.Go(func() {
			defer client.Close()
			io.Copy(client, to)
		})
		io.Copy(to, client)
		to.Close()
	}
	wg.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			keep(client)
			wg.Go(func() { pass(client) })
		}
	})
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return "localhost:" + port
}
