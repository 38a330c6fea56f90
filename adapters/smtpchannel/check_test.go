package smtpchannel_test

import (
	"net/url"
	"strings"
	"testing"
)

// A check logs in and sends no mail.
func TestCheck(t *testing.T) {
	const plain, implicit = "smtp", "smtps"
	for _, tt := range []struct {
		name    string
		server  serverOptions
		scheme  string
		options url.Values
		knownCA bool
		refuse  bool   // the login
		want    string // in the first fault and its way out; empty: none
	}{
		{"STARTTLS", serverOptions{}, plain, url.Values{}, true, false, "it expires in"},
		{"TLS", serverOptions{implicitTLS: true}, implicit, url.Values{}, true, false, "it expires in"},
		{"no TLS", serverOptions{noTLS: true}, plain, url.Values{"tls": {"none"}}, false, false, ""},
		{"foreign authority", serverOptions{}, plain, url.Values{}, false, false, "unknown authority has signed it; name the file of the authority's certificate by the URL's option cacertfile"},
		{"no STARTTLS", serverOptions{noTLS: true}, plain, url.Values{}, false, false, "does not offer it"},
		{"login", serverOptions{}, plain, url.Values{}, true, true, "AUTH: 535 5.7.8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t, tt.server)
			if tt.knownCA {
				tt.options.Set("cacertfile", s.ca)
			}
			if tt.refuse {
				s.become(at("auth", 535, 5, 7, 8), false)()
			}
			var faults []string
			for _, f := range open(t, tt.scheme, s.address, tt.options).Check(t.Context()) {
				if f.Fault != "" {
					faults = append(faults, f.Fault+"; "+f.WayOut)
				}
				if text := f.Value + f.Fault + f.WayOut; strings.Contains(text, password) {
					t.Errorf("shows the password: %s", text)
				}
			}
			if tt.want == "" && len(faults) > 0 || tt.want != "" && (len(faults) != 1 || !strings.Contains(faults[0], tt.want)) {
				t.Errorf("found %q, want %q", faults, tt.want)
			}
			if len(s.accepted()) > 0 {
				t.Errorf("the check has sent %v", s.accepted())
			}
		})
	}
	faults := open(t, plain, "127.0.0.1:1", url.Values{}).Check(t.Context())
	if len(faults) != 1 || !strings.Contains(faults[0].Fault, "refused") || faults[0].WayOut == "" {
		t.Errorf("nobody listens: found %+v", faults)
	}
}
