package app

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A profile longer than the server allows is refused at once.
func TestLongProfilesAreRefused(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	tests := []struct {
		method, target, contentType, body string
		status                            int
	}{
		{"GET", "/debug/pprof/profile?seconds=170", "", "", 422},
		{"GET", "/debug/pprof/profile?seconds=121", "", "", 422},
		{"GET", "/debug/pprof/trace?seconds=120.5", "", "", 422},
		{"GET", "/debug/pprof/trace?seconds=NaN", "", "", 422},
		{"GET", "/debug/pprof/trace?seconds=1e300", "", "", 422},
		{"GET", "/debug/pprof/heap?seconds=3600", "", "", 422},
		{"GET", "/debug/pprof/goroutine?seconds=-1", "", "", 422},
		{"GET", "/debug/pprof/profile?seconds=", "", "", 422},
		{"GET", "/debug/pprof/profile?seconds=1&seconds=170", "", "", 422},
		{"POST", "/debug/pprof/profile?seconds=1", form, "seconds=170", 422},
		{"POST", "/debug/pprof/profile", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"seconds\"\r\n\r\n170\r\n--x--\r\n", 422},
		{"GET", "/debug/pprof/trace?seconds=0.01", "", "", 200},
		{"GET", "/debug/pprof/heap", "", "", 200},
		{"GET", "/debug/pprof/", "", "", 200},
		{"POST", "/debug/pprof/symbol?seconds=170", form, "0x1", 200},
		{"GET", "/debug/pprof/nothing", "", "", 404},
	}
	for _, tt := range tests {
		r := httptest.NewRequest(tt.method, tt.target, strings.NewReader(tt.body))
		r.Header.Set("Content-Type", tt.contentType)
		w := httptest.NewRecorder()
		profiles().ServeHTTP(w, r)
		if w.Code != tt.status || tt.status == http.StatusUnprocessableEntity && !strings.Contains(w.Body.String(), "at most 120") {
			t.Errorf("%s %s %s: answered %d %.300s, want %d", tt.method, tt.target, tt.body, w.Code, w.Body, tt.status)
		}
	}
}
