package webhookchannel

import (
	"context"
	"net"
	"net/netip"
)

var (
	IsPublicAddress = isPublicAddress
	RetryAfter      = retryAfter
)

const (
	SendTimeout = sendTimeout
	BodyTimeout = bodyTimeout
	MaxBody     = maxBody
)

// SetDial replaces the network.
func (c *Channel) SetDial(dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	c.transport.DialContext = dial
}

// SetPublic replaces the rule for addresses, and SetResolver the one for names.
func (c *Channel) SetPublic(rule func(netip.Addr) bool) { c.isPublic = rule }
func (c *Channel) SetResolver(resolver *net.Resolver)   { c.dialer.Resolver = resolver }
