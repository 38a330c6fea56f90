package httpapi

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"

	"example.com/orderflow/services/internal/wiring"
)

// ForOperators protects a handler for operators, who usually reach it by a
// loopback address, from the web pages that are open in their browsers. It refuses
// requests from pages of other sites, and requests that change state from pages of
// other origins. A request that arrives at a loopback address must also name
// localhost or such an address as its host: a page could have its own name
// resolved to 127.0.0.1 (DNS rebinding), which makes it the same origin.
func ForOperators(handler http.Handler, log *slog.Logger) http.Handler {
	origins := http.NewCrossOriginProtection()
	log = wiring.Logger(log)
	return exchanges(nil, log, attached, answer(log, func(w http.ResponseWriter, r *http.Request) error {
		if arrivedByLoopback(r) && !isLoopbackName(r.Host) {
			return &Problem{
				Status: http.StatusForbidden, Code: "foreign_host",
				Detail: "this address answers only requests to localhost or a loopback address; use http://localhost",
			}
		}
		if err := origins.Check(r); err != nil || r.Header.Get("Sec-Fetch-Site") == "cross-site" {
			return &Problem{
				Status: http.StatusForbidden, Code: "cross_origin",
				Detail: "this request comes from a web page of another origin",
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
