package httpapi

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"

	"example.com/orderflow/services/internal/wiring"
)

// ForOperators guards a handler that only operators should reach, by an
// address of this machine as a rule, against the pages that their browsers
// have open: a request must not come from another site's page, nor one that
// changes state from another origin, and one that arrives over the loopback
// interface must be addressed to it by name or number, or a page could have its
// own name resolved to this machine and be of the same origin then.
func ForOperators(handler http.Handler, log *slog.Logger) http.Handler {
	origins := http.NewCrossOriginProtection()
	log = wiring.Logger(log)
	return exchanges(nil, log, attached, answer(log, func(w http.ResponseWriter, r *http.Request) error {
		if arrivedByLoopback(r) && !isLoopbackName(r.Host) {
			return &Problem{
				Status: http.StatusForbidden, Code: "foreign_host",
				Detail: "this address answers only to localhost and numbers of the loopback interface",
			}
		}
		if err := origins.Check(r); err != nil || r.Header.Get("Sec-Fetch-Site") == "cross-site" {
			return &Problem{
				Status: http.StatusForbidden, Code: "cross_origin",
				Detail: "pages of other origins have no business here",
			}
		}
		handler.ServeHTTP(w, r)
		return nil
	}))
}

func arrivedByLoopback(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && local.IP.IsLoopback()
}

func isLoopbackName(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	if host == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}
