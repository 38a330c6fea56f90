package webhookchannel

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"example.com/orderflow/ports"
)

const (
	dialTimeout    = 5 * time.Second // of looking up the name and connecting
	tlsTimeout     = 5 * time.Second
	idleTimeout    = 30 * time.Second
	maxIdle        = 256      // idle connections
	maxIdlePerHost = 64       // as many as a notifier sends at once
	maxHeader      = 64 << 10 // bytes of the answer's header
)

func newDialer() net.Dialer {
	return net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
}

func newTransport(dial func(ctx context.Context, network, address string) (net.Conn, error), roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		DialContext:            dial,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    tlsTimeout,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true, // a small answer could become large
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		IdleConnTimeout:        idleTimeout,
		ForceAttemptHTTP2:      true, // DialContext turns it off otherwise
		// A dead HTTP/2 connection would take every webhook of its host until TCP
		// gives up.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 5 * time.Second},
	}
}

// isPublic decides whether a webhook may be sent to the address.
type isPublic func(netip.Addr) bool

// forbidden are the blocks of IANA's registries of special addresses that are not
// meant for the public, as far as netip's methods do not find them.
var forbidden = prefixes(
	"0.0.0.0/8",       // this network
	"100.64.0.0/10",   // carrier-grade NAT
	"192.0.0.0/24",    // protocol assignments
	"192.0.2.0/24",    // documentation
	"192.88.99.0/24",  // 6to4 relays
	"198.18.0.0/15",   // benchmarks
	"198.51.100.0/24", // documentation
	"203.0.113.0/24",  // documentation
	"240.0.0.0/4",     // reserved, broadcast
	"2001::/23",       // protocol assignments, Teredo among them
	"2001:db8::/32",   // documentation
	"2002::/16",       // 6to4, with any IPv4 address inside
	"3fff::/20",       // documentation
)

var (
	globalIPv6 = netip.MustParsePrefix("2000::/3") // all that is assigned for the public
	nat64      = netip.MustParsePrefix("64:ff9b::/96")
)

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// isPublicAddress reports whether the address is a public host's. An IPv4 address inside
// an IPv6 one (mapped, or by NAT64's own prefix) decides for it.
func isPublicAddress(ip netip.Addr) bool {
	ip = ip.WithZone("").Unmap()
	if nat64.Contains(ip) {
		b := ip.As16()
		ip = netip.AddrFrom4([4]byte(b[12:]))
	}
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.Is6() && !globalIPv6.Contains(ip) {
		return false
	}
	for _, block := range forbidden {
		if block.Contains(ip) {
			return false
		}
	}
	return true
}

// errForbidden is returned when a name has only addresses that may not be dialled. It
// does not show them: whoever has chosen the name must not learn them.
var errForbidden = errors.New("the host's address is not public; allow private addresses for webhooks to reach it")

// dial connects to the address. It checks each IP address right before it is dialled,
// so no later answer of DNS can replace a checked one.
func (c *Channel) dial(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := c.dialer
	if c.allowPrivate {
		return dialer.DialContext(ctx, network, address)
	}
	var mu sync.Mutex // two addresses may be dialled at once
	refused, dialled := false, false
	dialer.Control = func(_, address string, _ syscall.RawConn) error {
		mu.Lock()
		defer mu.Unlock()
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		if !c.isPublic(to.Addr()) {
			refused = true
			return errForbidden
		}
		dialled = true
		return nil
	}
	conn, err := dialer.DialContext(ctx, network, address)
	mu.Lock()
	defer mu.Unlock()
	switch {
	case err != nil && refused && !dialled:
		return nil, errForbidden
	case errors.Is(err, errForbidden): // of the first address; the others failed otherwise
		return nil, errors.New("dial: none of the host's public addresses can be reached")
	}
	return conn, err
}

// failure returns the error of a webhook without an answer. outer is the caller's
// context, limited the attempt's.
func (c *Channel) failure(outer, limited context.Context, to address, err error) error {
	var dns *net.DNSError
	switch {
	case errors.Is(err, errForbidden):
		return ports.Permanent(errForbidden)
	case outer.Err() != nil:
		return ports.Postpone(outer.Err())
	case limited.Err() != nil:
		return ports.Postpone(fmt.Errorf("no answer within %v", sendTimeout))
	}
	var dial *net.OpError
	switch {
	case errors.As(err, &dns): // without the network's own server
		err = fmt.Errorf("look up the host: %s", dns.Err)
	case errors.As(err, &dial) && dial.Op == "dial": // without the address, which the caller adds
		err = dial.Err
	}
	return ports.Postpone(to.redactError(err))
}
