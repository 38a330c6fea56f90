package rabbitmq

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strconv"

	"example.com/orderflow/adapters/internal/tlscheck"
)

var tlsHints = tlscheck.Hints{Authorities: "the URL's option cacertfile", Client: "the URL's options certfile and keyfile"}

// address returns the broker's host and port.
func (e endpoint) address() string {
	uri := e.uri()
	return net.JoinHostPort(uri.Host, strconv.Itoa(uri.Port))
}

// tlsConfig returns the settings that the library makes of an amqps URL.
func (e endpoint) tlsConfig() *tls.Config {
	uri := e.uri()
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: uri.ServerName}
	if uri.CACertFile != "" {
		config.RootCAs = x509.NewCertPool()
		if text, err := os.ReadFile(uri.CACertFile); err == nil { // Open has read it
			config.RootCAs.AppendCertsFromPEM(text)
		}
	}
	if uri.CertFile != "" {
		if own, err := tls.LoadX509KeyPair(uri.CertFile, uri.KeyFile); err == nil { // Open has read it
			config.Certificates = []tls.Certificate{own}
		}
	}
	return config
}

// explainTLS adds to the error of a failed connection by TLS why the broker refuses the
// client's certificate, if it does, or what else is wrong with a certificate. If the error
// does not say it, another connection finds it out.
func (e endpoint) explainTLS(ctx context.Context, err error) error {
	if e.uri().Scheme != "amqps" || ctx.Err() != nil {
		return err
	}
	fault, wayOut := tlscheck.Explain(err, tlsHints)
	if fault == "" {
		if refusal := tlscheck.Refusal(ctx, e.address(), e.tlsConfig()); refusal != nil {
			if fault, wayOut = tlscheck.Explain(refusal, tlsHints); fault != "" {
				err = refusal
			}
		}
	}
	if fault == "" {
		return err
	}
	return fmt.Errorf("%w (%s: %s)", err, fault, wayOut)
}
