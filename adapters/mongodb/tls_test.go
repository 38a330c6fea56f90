package mongodb_test

import (
	"crypto/tls"
	"net/url"
	"strings"
	"testing"
	"time"

	"example.com/orderflow/adapters/mongodb"
	"example.com/orderflow/adapters/tlstest"
)

// The URL's options give the connection its authorities and the client's certificate. A
// check and an error say which certificate is refused, and why.
func TestTLS(t *testing.T) {
	authority, foreign := tlstest.NewAuthority(t), tlstest.NewAuthority(t)
	tomorrow, yesterday, later := time.Now().Add(24*time.Hour), time.Now().Add(-24*time.Hour), time.Now().Add(60*24*time.Hour)
	client := authority.Issue(t, later)
	ca := url.Values{"tlsCAFile": {authority.File}}
	with := func(own tlstest.Certificate) url.Values {
		return url.Values{"tlsCAFile": {authority.File}, "tlsCertificateKeyFile": {own.BothFile}}
	}
	for _, tt := range []struct {
		name    string
		server  tlstest.Certificate
		clients bool // must have a certificate
		options url.Values
		check   string // the only fault with its way out; empty: none
		open    string // in the error of Open; empty: it succeeds
	}{
		{"known authority", authority.Issue(t, later), false, ca, "", ""},
		{"client with a certificate", authority.Issue(t, later), true, with(client), "", ""},
		{"soon over", authority.Issue(t, tomorrow), false, ca, "server's certificate: it expires in 24h0m0s; renew it at the server", ""},
		{"expired", authority.Issue(t, yesterday), false, ca, "server's certificate: it expired on " + yesterday.UTC().Format(time.DateOnly), "certificate has expired"},
		{"foreign authority", foreign.Issue(t, later), false, ca, "server's certificate: an unknown authority has signed it; name the file of the authority's certificate by the URL's option tlsCAFile", "name the file of the authority"},
		{"no authority given", authority.Issue(t, later), false, nil, "server's certificate: an unknown authority has signed it; name the file of the authority's certificate by the URL's option tlsCAFile", "name the file of the authority"},
		{"for another host", authority.Issue(t, later, "db.example.com"), false, ca, `server's certificate: it is not for "localhost"; use one of its names in the URL`, "not localhost"},
		{"client without a certificate", authority.Issue(t, later), true, ca, "TLS: the server requires a client's certificate; give one by the URL's option tlsCertificateKeyFile", "requires a client's certificate: give one by"},
		{"client of a foreign authority", authority.Issue(t, later), true, with(foreign.Issue(t, later)), "TLS: the server does not know the authority of the client's certificate", "unknown certificate authority"},
		{"client's certificate has expired", authority.Issue(t, later), true, with(authority.Issue(t, yesterday)), "client's certificate: it expired on", "expired certificate"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			config := &tls.Config{Certificates: []tls.Certificate{tt.server.Certificate}}
			if tt.clients {
				config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, authority.Pool()
			}
			u, err := url.Parse(databaseURL(t))
			if err != nil {
				t.Fatal(err)
			}
			u.Host = tlstest.Proxy(t, u.Host, config)
			query := u.Query()
			query.Set("tls", "true")
			query.Set("directConnection", "true")
			if tt.open != "" { // Open fails after that time; otherwise it may need more under load
				query.Set("serverSelectionTimeoutMS", "2000")
			}
			for name, values := range tt.options {
				query[name] = values
			}
			u.RawQuery = query.Encode()

			var faults []string
			for _, f := range mongodb.Check(bounded(t), u.String(), mongodb.Options{}) {
				if f.Fault != "" {
					faults = append(faults, f.What+": "+f.Fault+"; "+f.WayOut)
				}
			}
			if tt.check == "" && len(faults) > 0 || tt.check != "" && (len(faults) == 0 || !strings.HasPrefix(faults[0], tt.check)) {
				t.Errorf("the check has found %q, want %q", faults, tt.check)
			}
			store, err := mongodb.Open(bounded(t), u.String(), mongodb.Options{})
			if err == nil {
				err = store.Close(bounded(t))
			}
			if tt.open == "" && err != nil || tt.open != "" && (err == nil || !strings.Contains(err.Error(), tt.open)) {
				t.Errorf("open: %v, want %q", err, tt.open)
			}
		})
	}
}
