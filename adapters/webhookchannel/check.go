package webhookchannel

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"example.com/orderflow/adapters/internal/tlscheck"
	"example.com/orderflow/ports"
)

const checkTimeout = 10 * time.Second

var tlsHints = tlscheck.Hints{Authorities: "the machine's list of authorities"}

// Check connects to the receiver at the address, and reports what it has found. It sends
// no request, because a receiver may act on any.
func (c *Channel) Check(ctx context.Context, text string) []ports.Finding {
	const what = "receiver"
	to, err := c.parse(text)
	if err != nil {
		return []ports.Finding{{What: what, Fault: "its URL " + err.Error(), WayOut: "correct the URL"}}
	}
	fail := func(fault, wayOut string) []ports.Finding {
		return []ports.Finding{{What: what, Value: to.host(), Fault: fault, WayOut: wayOut}}
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	port := to.url.Port()
	if port == "" {
		port = to.url.Scheme // which is the name of a port
	}
	raw, err := c.dial(ctx, "tcp", net.JoinHostPort(to.url.Hostname(), port))
	if err != nil {
		return fail(fmt.Sprintf("it can't be reached: %v", c.failure(ctx, ctx, to, err)), "check the URL's host, and whether a firewall is between")
	}
	defer raw.Close()
	if to.url.Scheme != "https" {
		return []ports.Finding{{What: what, Value: to.host() + ", without TLS"}}
	}
	config := c.transport.TLSClientConfig.Clone()
	config.ServerName = to.url.Hostname()
	conn := tls.Client(raw, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		fault, wayOut := tlscheck.Explain(err, tlsHints)
		if fault == "" {
			fault, wayOut = fmt.Sprintf("the TLS handshake fails: %v", to.redactError(err)), "see the receiver's log"
		}
		return fail(fault, wayOut)
	}
	f, _ := tlscheck.Server(conn.ConnectionState(), config, true, tlsHints)
	return []ports.Finding{{What: what, Value: to.host()}, f}
}
