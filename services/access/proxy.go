package access

import (
	"net/http"
	"net/netip"
	"slices"

	"example.com/orderflow/services/internal/author"
)

// Proxy is a proxy in front of the address, which has found out who the caller is and says
// so in a header. Everybody who can send requests from its addresses can be anybody.
type Proxy struct {
	Header    string         // that has the caller's name
	From      []netip.Prefix // the proxy's addresses; it is believed from no other
	Operators []string       // names of operators; all others are viewers
}

// AllOperators in [Proxy.Operators] makes everybody an operator.
const AllOperators = "*"

// caller returns who the proxy says the caller is. It returns false if the request is not
// the proxy's, or has no name or more than one.
func (p Proxy) caller(r *http.Request) (c Caller, ok bool) {
	if p.Header == "" || !p.isFrom(r.RemoteAddr) {
		return c, false
	}
	names := r.Header.Values(p.Header)
	if len(names) != 1 || !author.IsClean(names[0]) {
		return c, false
	}
	c = Caller{Name: names[0], Role: Viewer, By: ByProxy}
	if slices.Contains(p.Operators, AllOperators) || slices.Contains(p.Operators, c.Name) {
		c.Role = Operator
	}
	return c, true
}

// isIgnored reports whether the request has the header, but does not come from the proxy.
func (p Proxy) isIgnored(r *http.Request) bool {
	return p.Header != "" && len(r.Header.Values(p.Header)) > 0 && !p.isFrom(r.RemoteAddr)
}

func (p Proxy) isFrom(remote string) bool {
	address, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	ip := address.Addr().Unmap().WithZone("")
	return slices.ContainsFunc(p.From, func(of netip.Prefix) bool { return of.Contains(ip) })
}
