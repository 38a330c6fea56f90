package httpapi

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestForOperators(t *testing.T) {
	handler := ForOperators(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "reached")
	}), discard)
	loopback := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9081}
	elsewhere := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 7), Port: 9081}
	tests := []struct {
		name    string
		method  string
		host    string
		local   net.Addr
		headers map[string]string
		refusal string // part of the answer; empty if the handler is reached
	}{
		{"curl", "POST", "localhost:9081", loopback, nil, ""},
		{"curl by address", "POST", "127.0.0.1:9081", loopback, nil, ""},
		{"curl by IPv6 address", "POST", "[::1]:9081", loopback, nil, ""},
		{"curl without a port", "GET", "localhost", loopback, nil, ""},
		{"a page of another origin", "POST", "localhost:9081", loopback, map[string]string{"Sec-Fetch-Site": "cross-site"}, "cross_origin"},
		{"a page of another port", "POST", "localhost:9081", loopback, map[string]string{"Sec-Fetch-Site": "same-site"}, "cross_origin"},
		{"an older browser", "POST", "localhost:9081", loopback, map[string]string{"Origin": "http://shop.example"}, "cross_origin"},
		{"a sandboxed page", "DELETE", "localhost:9081", loopback, map[string]string{"Origin": "null"}, "cross_origin"},
		{"a page of the same origin", "POST", "localhost:9081", loopback, map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost:9081"}, ""},
		{"a page of another origin, reading", "GET", "localhost:9081", loopback, map[string]string{"Sec-Fetch-Site": "cross-site"}, "cross_origin"}, // it can't read the answer, but it can cause work
		{"a link on a page of another origin", "GET", "localhost:9081", loopback, map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, ""},
		{"a frame in a page of another origin", "GET", "localhost:9081", loopback, map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, "cross_origin"},
		{"a form of another origin", "POST", "localhost:9081", loopback, map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, "cross_origin"},
		{"a link of another origin to a name that resolves to this machine", "GET", "evil.example:9081", loopback, map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, "foreign_host"},
		{"a page whose name resolves to this machine", "POST", "evil.example:9081", loopback, map[string]string{"Origin": "http://evil.example:9081"}, "foreign_host"},
		{"a page whose name resolves to this machine, reading", "GET", "evil.example:9081", loopback, nil, "foreign_host"},
		{"localhost as a part of the name", "GET", "localhost.evil.example:9081", loopback, nil, "foreign_host"},
		{"another machine", "POST", "notification.internal:9081", elsewhere, nil, ""},
		{"another machine's page", "POST", "notification.internal:9081", elsewhere, map[string]string{"Origin": "http://shop.example"}, "cross_origin"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, "/", nil)
			r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, tt.local))
			r.Host = tt.host
			for name, value := range tt.headers {
				r.Header.Set(name, value)
			}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			status, want := http.StatusOK, "reached"
			if tt.refusal != "" {
				status, want = http.StatusForbidden, tt.refusal
			}
			if w.Code != status || !strings.Contains(w.Body.String(), want) {
				t.Errorf("got %d %s, want %d with %q", w.Code, w.Body, status, want)
			}
		})
	}
}
