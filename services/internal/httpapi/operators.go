package httpapi

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"

	"example.com/orderflow/services/internal/wiring"
)

// ForOperators protects a handler for operators from the web pages in their
// browsers. It refuses requests from pages of other sites, and requests that change
// state from pages of other origins. A request to a loopback address must also name
// localhost or a loopback address as its host. Otherwise a page whose name resolves
// to 127.0.0.1 (DNS rebinding) would have the same origin. A link to the path / works from
// everywhere: a person opens the page there.
func ForOperators(handler http.Handler, log *slog.Logger) http.Handler {
	return forOperators(handler, log, new(observer))
}

func forOperators(handler http.Handler, log *slog.Logger, o *observer) http.Handler {
	origins := http.NewCrossOriginProtection()
	log = wiring.Logger(log)
	return withExchange(nil, log, o, attached, answer(log, func(w http.ResponseWriter, r *http.Request) error {
		if arrivedByLoopback(r) && !isLoopbackName(r.Host) {
			return &Problem{
				Status: http.StatusForbidden, Code: "foreign_host",
				Detail: "this address answers only requests to localhost or a loopback address; use http://localhost",
			}
		}
		if err := origins.Check(r); err != nil || r.Header.Get("Sec-Fetch-Site") == "cross-site" && !isLink(r) {
			return &Problem{
				Status: http.StatusForbidden, Code: "cross_origin",
				Detail: "this request comes from a web page of another origin",
			}
		}
		handler.ServeHTTP(w, r)
		return nil
	}))
}

// isLink reports whether a person has followed a link to the path /.
func isLink(r *http.Request) bool {
	return r.Method == http.MethodGet && r.URL.Path == "/" &&
		r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
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
