// Package tlscheck examines the certificates of a connection by TLS, and explains why one
// is refused.
package tlscheck

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"example.com/orderflow/ports"
)

const (
	// Soon is how long before its end a certificate counts as a fault: a weekend and the
	// days to renew it.
	Soon = 7 * 24 * time.Hour

	handshakeTimeout = 5 * time.Second
	alertTimeout     = 2 * time.Second
)

// Hints name the settings of the connection, for the ways out.
type Hints struct {
	Authorities string // such as "the URL's option tlsCAFile"
	Client      string // such as "the URL's option tlsCertificateKeyFile"
}

// Check connects to the address, HOST:PORT, and returns what it has found about the
// server's certificate and the client's. It finds nothing about a server that can't be
// reached. It reports false if no connection by TLS can succeed.
func Check(ctx context.Context, address string, config *tls.Config, hints Hints) (found []ports.Finding, ok bool) {
	for _, client := range config.Certificates {
		found = append(found, Client(client, hints))
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return found, true
	}
	defer raw.Close()
	config, asked := asking(config)
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(address)
	}
	verified := !config.InsecureSkipVerify
	config.InsecureSkipVerify = true // Server verifies the certificate
	conn := tls.Client(raw, config)
	err = conn.HandshakeContext(ctx)
	state := conn.ConnectionState()
	if err == nil && *asked {
		err = alert(conn)
	}
	if err != nil {
		fault, wayOut := Explain(err, hints)
		if fault == "" {
			fault, wayOut = fmt.Sprintf("the handshake fails: %v", err), "find out whether the server speaks TLS at this port; its log may say more"
		}
		return append(found, ports.Finding{What: "TLS", Value: address, Fault: fault, WayOut: wayOut}), false
	}
	f, ok := Server(state, config, verified, hints)
	return append(found, f), ok
}

// Refusal connects to the address, HOST:PORT, and returns why a connection by TLS fails: the
// error of the handshake, or the alert by which the server refuses the client's certificate,
// or its lack. It returns nil if the connection works. By TLS 1.3, a server sends that alert
// after the handshake. A client that has written meanwhile may get only a reset connection.
func Refusal(ctx context.Context, address string, config *tls.Config) error {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	config, asked := asking(config)
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if !*asked {
		return nil
	}
	return alert(conn)
}

// asking returns a copy of the configuration that notes whether the server asks for a client's
// certificate. Only such a server refuses one.
func asking(config *tls.Config) (noting *tls.Config, asked *bool) {
	noting, asked = config.Clone(), new(bool)
	noting.GetClientCertificate = func(request *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		*asked = true
		for _, own := range config.Certificates {
			if request.SupportsCertificate(&own) == nil {
				return &own, nil
			}
		}
		return new(tls.Certificate), nil
	}
	return noting, asked
}

// alert returns the alert that the server sends after the handshake, if it sends one soon.
func alert(conn net.Conn) error {
	_ = conn.SetReadDeadline(time.Now().Add(alertTimeout))
	_, err := conn.Read(make([]byte, 1))
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" {
		return err
	}
	return nil
}

// Server returns what there is to say about the certificate that a server has shown.
// Unless verified, the connection accepts any. It reports false if a connection fails
// because of it.
func Server(state tls.ConnectionState, config *tls.Config, verified bool, hints Hints) (f ports.Finding, ok bool) {
	leaf := state.PeerCertificates[0]
	f = ports.Finding{What: "server's certificate", Value: fmt.Sprintf("%s, %s", names(leaf), validity(leaf))}
	if verified {
		intermediates := x509.NewCertPool()
		for _, c := range state.PeerCertificates[1:] {
			intermediates.AddCert(c)
		}
		_, err := leaf.Verify(x509.VerifyOptions{Roots: config.RootCAs, Intermediates: intermediates, DNSName: config.ServerName})
		if err != nil {
			f.Fault, f.WayOut = Explain(err, hints)
			return f, false
		}
	} else {
		f.Value += ", not verified"
	}
	if fault := dates(leaf); fault != "" {
		f.Fault, f.WayOut = fault, "renew it at the server"
	}
	return f, true
}

// Client returns what there is to say about the client's own certificate.
func Client(own tls.Certificate, hints Hints) ports.Finding {
	f := ports.Finding{What: "client's certificate"}
	leaf := own.Leaf
	if leaf == nil && len(own.Certificate) > 0 {
		leaf, _ = x509.ParseCertificate(own.Certificate[0])
	}
	if leaf == nil {
		f.Fault, f.WayOut = "it can't be read", "give another by "+hints.Client
		return f
	}
	f.Value = fmt.Sprintf("%s, %s", names(leaf), validity(leaf))
	if fault := dates(leaf); fault != "" {
		f.Fault, f.WayOut = fault, "renew it, and name its file by "+hints.Client
	}
	return f
}

// Explain says why a connection by TLS has failed, and what to do. It returns empty texts
// if the error is not one of TLS.
func Explain(err error, hints Hints) (fault, wayOut string) {
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var record tls.RecordHeaderError
	text := err.Error()
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		if fault = dates(invalid.Cert); fault == "" {
			fault = "a certificate above it is not valid now"
		}
		return fault, "renew it at the server, or correct this machine's clock"
	case errors.As(err, &unknown):
		return "an unknown authority has signed it", "name the file of the authority's certificate by " + hints.Authorities
	case errors.As(err, &name):
		return fmt.Sprintf("it is not for %.255q", name.Host), "use one of its names in the URL, or give the server a certificate for this one"
	case errors.As(err, &invalid):
		return invalid.Error(), "give the server another certificate"
	case errors.As(err, &record), strings.Contains(text, "first record does not look like a TLS handshake"):
		return "the server does not speak TLS at this port", "give the port with TLS, or a URL without TLS"
	}
	// The driver may have lost the error's type, or the server refuses the client.
	for _, e := range []struct{ part, fault, wayOut string }{
		{"certificate has expired or is not yet valid", "the server's certificate has expired or is not valid yet", "renew it at the server, or correct this machine's clock"},
		{"signed by unknown authority", "an unknown authority has signed the server's certificate", "name the file of the authority's certificate by " + hints.Authorities},
		{"certificate is valid for", "the server's certificate is for another name", "use one of its names in the URL, or give the server a certificate for this one"},
		{"certificate is not valid for any names", "the server's certificate is for no name", "give the server a certificate for its host"},
		{"tls: certificate required", "the server requires a client's certificate", "give one by " + hints.Client},
		{"tls: expired certificate", "the server says that the client's certificate has expired", "renew it, and name its file by " + hints.Client},
		{"remote error: tls: unknown certificate authority", "the server does not know the authority of the client's certificate", "give one by " + hints.Client + " that the server's authority has signed"},
		{"remote error: tls: bad certificate", "the server refuses the client's certificate", "give one by " + hints.Client + " that the server's authority has signed"},
		{"remote error: tls:", "the server ends the TLS handshake", "see the server's log; it may want a client's certificate, or another version of TLS"},
	} {
		if strings.Contains(text, e.part) {
			return e.fault, e.wayOut
		}
	}
	return "", ""
}

// dates returns what is wrong with the certificate's dates.
func dates(c *x509.Certificate) string {
	switch now := time.Now(); {
	case now.Before(c.NotBefore):
		return fmt.Sprintf("it is valid from %s on", c.NotBefore.UTC().Format(time.DateTime))
	case now.After(c.NotAfter):
		return fmt.Sprintf("it expired on %s", c.NotAfter.UTC().Format(time.DateTime))
	case now.Add(Soon).After(c.NotAfter):
		return fmt.Sprintf("it expires in %v", time.Until(c.NotAfter).Round(time.Hour))
	}
	return ""
}

func validity(c *x509.Certificate) string {
	return fmt.Sprintf("valid until %s", c.NotAfter.UTC().Format(time.DateOnly))
}

// names returns what the certificate is for.
func names(c *x509.Certificate) string {
	all := append([]string{}, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	if len(all) == 0 {
		all = append(all, c.Subject.String())
	}
	const most = 4
	if len(all) > most {
		all = append(all[:most], fmt.Sprintf("and %d more", len(all)-most))
	}
	return strings.Join(all, ", ")
}
