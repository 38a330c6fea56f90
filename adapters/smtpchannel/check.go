package smtpchannel

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/textproto"
	"strings"
	"time"

	"example.com/orderflow/adapters/internal/tlscheck"
	"example.com/orderflow/ports"
)

const checkTimeout = 15 * time.Second

var tlsHints = tlscheck.Hints{Authorities: "the URL's option cacertfile"}

// Check connects to the mail server, starts TLS and logs in, as Send does, and sends no
// mail. It reports what it has found.
func (c *Channel) Check(ctx context.Context) []ports.Finding {
	const what = "mail server"
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	s, at, err := c.connect(ctx)
	if err != nil {
		fault, wayOut := tlscheck.Explain(err, tlsHints)
		var said *textproto.Error
		switch {
		case fault != "":
		case ctx.Err() != nil:
			fault = fmt.Sprintf("%s: %v", at, ctx.Err())
		case errors.As(err, &said):
			r := newReply(said.Code, said.Msg)
			fault = fmt.Sprintf("%s: %s", at, strings.TrimSpace(r.codes()+" "+c.readable(r.text, "")))
		default:
			fault = fmt.Sprintf("%s: %s", at, c.readable(err.Error(), ""))
		}
		if wayOut == "" {
			wayOut = wayOutOf(at)
		}
		return []ports.Finding{{What: what, Value: c.settings.server(), Fault: fault, WayOut: wayOut}}
	}
	defer s.quit(c.timeouts.quit)
	value := c.settings.server()
	if c.settings.noTLS {
		value += ", without TLS"
	}
	if c.settings.user != "" {
		value += ", logged in"
	}
	found := []ports.Finding{{What: what, Value: value}}
	if state, ok := s.client.TLSConnectionState(); ok && len(state.PeerCertificates) > 0 {
		f, _ := tlscheck.Server(state, &tls.Config{ServerName: c.settings.host, RootCAs: c.settings.authorities}, true, tlsHints)
		found = append(found, f)
	}
	return found
}

func wayOutOf(at step) string {
	switch at {
	case login:
		return "check user and password"
	case startTLS:
		return "use the server's port with STARTTLS, or smtps: for one with TLS from the beginning"
	case connecting:
		return "check host and port, and whether a firewall is between"
	}
	return "check that host and port are those of a mail server, and of smtp: or smtps: as the URL says"
}
