package webhookchannel_test

import (
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"example.com/orderflow/adapters/webhookchannel"
)

// A check connects to the receiver, and sends no request.
func TestCheck(t *testing.T) {
	var requests atomic.Int64
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) })
	secure, plain, closed := httptest.NewTLSServer(handler), httptest.NewServer(handler), httptest.NewServer(handler)
	defer secure.Close()
	defer plain.Close()
	closed.Close()
	known := x509.NewCertPool()
	known.AddCert(secure.Certificate())
	const secret = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	for _, tt := range []struct {
		name, address string
		options       webhookchannel.Options
		want          string // in the fault and its way out; empty: none
	}{
		{"well", secure.URL + "/hunter2", webhookchannel.Options{AllowPrivate: true, RootCAs: known}, ""},
		{"without TLS", plain.URL + "/hunter2", webhookchannel.Options{AllowPrivate: true}, ""},
		{"foreign authority", secure.URL + "/hunter2", webhookchannel.Options{AllowPrivate: true}, "unknown authority"},
		{"private address", strings.Replace(secure.URL, "127.0.0.1", "localhost", 1) + "/hunter2", webhookchannel.Options{}, "must be public"},
		{"wrong address", "https://u:hunter2@example.com/", webhookchannel.Options{}, "must have no user"},
		{"nobody listens", strings.Replace(closed.URL, "http:", "https:", 1) + "/hunter2", webhookchannel.Options{AllowPrivate: true}, "refused"},
		{"no TLS", strings.Replace(plain.URL, "http:", "https:", 1) + "/hunter2", webhookchannel.Options{AllowPrivate: true}, "does not speak TLS"},
	} {
		tt.options.Secrets = []string{secret}
		channel, err := webhookchannel.New(tt.options)
		if err != nil {
			t.Fatal(err)
		}
		var faults []string
		for _, f := range channel.Check(t.Context(), tt.address) {
			if f.Fault != "" {
				faults = append(faults, f.Fault+"; "+f.WayOut)
			}
			if strings.Contains(f.Value+f.Fault+f.WayOut, "hunter2") {
				t.Errorf("%s: shows the URL's secret: %+v", tt.name, f)
			}
		}
		if tt.want == "" && len(faults) > 0 || tt.want != "" && (len(faults) != 1 || !strings.Contains(faults[0], tt.want)) {
			t.Errorf("%s: found %q, want %q", tt.name, faults, tt.want)
		}
	}
	if n := requests.Load(); n > 0 {
		t.Errorf("the checks have sent %d requests", n)
	}
}
