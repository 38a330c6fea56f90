package app

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"strconv"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/services/internal/httpapi"
)

// Admin is the setting of the address for operators.
type Admin struct {
	AdminAddr string `env:"ADMIN_ADDR" default:"localhost:${admin_port}" help:"Address for operators, which the public must not reach."`
}

// Check refuses a wrong setting; its error names the flag.
func (a *Admin) Check() error { return CheckAddress("admin-addr", a.AdminAddr) }

const (
	longestProfile = 2 * time.Minute // that may be recorded
	operators      = 8               // connections at once
)

// AdminServer returns what answers operators: the handler, if there is one, and
// profiles of the process under /debug/pprof/.
func (a *Admin) AdminServer(c *Common, handler http.Handler, log *slog.Logger) (Component, error) {
	listener, err := listen("admin-addr", a.AdminAddr)
	if err != nil {
		return Component{}, err
	}
	if handler == nil {
		handler = httpapi.NewHandler(nil, nil, log)
	}
	mux := http.NewServeMux()
	mux.Handle("/", handler)
	mux.Handle("/debug/pprof/", profiles())
	server := httpapi.Server{
		Handler: httpapi.ForOperators(mux, log), RequestTimeout: longestProfile,
		Connections: operators, Interrupt: true,
	}
	return c.httpServer("admin", listener, server, log), nil
}

// profiles shows Go's profiles. One whose client goes away ends at once.
func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		if r.URL.Path != "/debug/pprof/symbol" { // whose body is no form
			_ = r.ParseMultipartForm(64 << 10) // an error leaves what could be read, as for the profiles
			for _, text := range r.Form["seconds"] {
				if seconds, err := strconv.ParseFloat(text, 64); err != nil || !(seconds > 0 && seconds <= longestProfile.Seconds()) {
					httpapi.Invalid(domain.FieldError{
						Field: "seconds", Reason: fmt.Sprintf("must be a number above 0 and at most %.0f", longestProfile.Seconds()),
					}).Write(w, r)
					return
				}
			}
		}
		mux.ServeHTTP(w, r)
	})
}
