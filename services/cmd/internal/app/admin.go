package app

import (
	"log/slog"
	"net/http"
	"net/http/pprof"
	"time"

	"example.com/orderflow/services/internal/httpapi"
)

// Admin is the setting of the address for operators.
type Admin struct {
	AdminAddr string `env:"ADMIN_ADDR" default:"localhost:${admin_port}" help:"Address for operators, which the public must not reach."`
}

// Check refuses a wrong setting; its error names the flag.
func (a *Admin) Check() error { return CheckAddress("admin-addr", a.AdminAddr) }

// longestProfile is how long a profile may be recorded.
const longestProfile = 2 * time.Minute

// AdminServer returns what answers operators: the handler, if there is one, and
// profiles of the process under /debug/pprof/.
func (a *Admin) AdminServer(c *Common, handler http.Handler, log *slog.Logger) (Component, error) {
	listener, err := listen("admin-addr", a.AdminAddr)
	if err != nil {
		return Component{}, err
	}
	if handler == nil {
		handler = httpapi.NewHandler(nil, log)
	}
	profiles := http.NewServeMux()
	profiles.HandleFunc("/debug/pprof/", pprof.Index)
	profiles.HandleFunc("/debug/pprof/profile", pprof.Profile)
	profiles.HandleFunc("/debug/pprof/trace", pprof.Trace)
	profiles.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux := http.NewServeMux()
	mux.Handle("/", handler)
	mux.Handle("/debug/pprof/", httpapi.ForOperators(profiles, log))
	server := httpapi.Server{Handler: mux, RequestTimeout: longestProfile, Interrupt: true}
	return c.httpServer("admin", listener, server, log), nil
}
