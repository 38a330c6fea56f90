package app

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/orderflow/services/access"
	"example.com/orderflow/services/internal/apitest"
	"example.com/orderflow/services/notification"
	"example.com/orderflow/services/order"
)

// isOfPrograms reports whether the programs serve the path, not the services' handlers.
func isOfPrograms(path string) bool {
	return strings.HasPrefix(path, "/debug/") || path == "/log-level" || path == "/status" || path == "/metrics" || path == access.SessionPath
}

// Each service's document describes what the programs add to its admin address, and is
// served there.
func TestAdminAddressIsDescribed(t *testing.T) {
	for _, openAPI := range [][]byte{order.OpenAPI, notification.OpenAPI} {
		document := apitest.Load(openAPI, func(path string) bool { return isOfPrograms(path) || path == "/openapi.yaml" })
		c := &Common{ShutdownTimeout: time.Second}
		c.status = Status{Started: "2026-11-23T10:00:00.000Z", Addresses: []string{"http://localhost:8080"}, Settings: []Setting{{"store", "memory:", "flag"}}}
		stop, err := c.startTelemetry("test", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		h := c.adminHandler(openAPI, nil, access.NewGuard(nil, access.Proxy{}, nil), slog.New(slog.DiscardHandler))
		for target, status := range map[string]int{
			"/debug/pprof/heap": 200, "/debug/pprof/heap?debug=1": 200, "/debug/pprof/nothing": 404, "/debug/pprof/heap?seconds=121": 422,
			"/openapi.yaml": 200, "/": 404, "/nowhere": 404,
		} {
			w := document.Do(h, httptest.NewRequest("GET", target, nil))
			if w.Code != status || target == "/openapi.yaml" && w.Body.String() != string(openAPI) {
				t.Errorf("%s: answered %d %.300s, want %d", target, w.Code, w.Body, status)
			}
		}
		for _, e := range document.Examples() {
			if e.URL == access.SessionPath {
				continue
			}
			if w := document.Do(h, e.Request()); w.Code != 200 {
				t.Errorf("%s: answered %d %s", e.Name, w.Code, w.Body)
			}
		}
		describeSessions(t, document, func(g *access.Guard) http.Handler {
			return c.adminHandler(openAPI, nil, g, slog.New(slog.DiscardHandler))
		})
		wrong := httptest.NewRequest("PUT", "/log-level", strings.NewReader(`{"level":"loud"}`))
		wrong.Header.Set("Content-Type", "application/json")
		if w := document.Do(h, wrong); w.Code != 422 {
			t.Errorf("a wrong level: answered %d %s", w.Code, w.Body)
		}
		document.CheckRefusals(t, h)
		var out strings.Builder
		if document.Report(&out, true) != 0 {
			t.Error(out.String())
		}
	}
}

// describeSessions has sessions answer in every way that the document has.
func describeSessions(t *testing.T, document *apitest.Document, behind func(*access.Guard) http.Handler) {
	t.Helper()
	token, secret, err := access.NewToken("ann", access.Operator)
	path := filepath.Join(t.TempDir(), "tokens")
	if err == nil {
		err = os.WriteFile(path, []byte(token.String()), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := access.OpenTokens(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	open, asking := behind(access.NewGuard(nil, access.Proxy{}, nil)), behind(access.NewGuard(tokens, access.Proxy{}, nil))
	var cookies []*http.Cookie
	do := func(h http.Handler, method, body string, status int) {
		t.Helper()
		r := httptest.NewRequest(method, access.SessionPath, strings.NewReader(body))
		if body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		for _, c := range cookies {
			r.AddCookie(c)
		}
		w := document.Do(h, r)
		if w.Code != status {
			t.Errorf("%s of a session: answered %d %s, want %d", method, w.Code, w.Body, status)
		}
		cookies = w.Result().Cookies()
	}
	do(open, "GET", "", 200)
	do(open, "POST", `{"token":"x"}`, 409)
	do(asking, "GET", "", 401)
	do(asking, "POST", `{}`, 422)
	do(asking, "POST", `{"token":"`+secret+`"}`, 200)
	began := cookies
	do(asking, "GET", "", 200)
	cookies = began
	do(asking, "DELETE", "", 204)
	cookies = began
	do(asking, "GET", "", 401)
	for range 20 {
		do(asking, "POST", `{"token":"x"}`, 401)
	}
	do(asking, "POST", `{"token":"x"}`, 429)
	r := httptest.NewRequest("GET", access.SessionPath, nil)
	r.Header.Set("Authorization", "Bearer x")
	if w := document.Do(asking, r); w.Code != 429 {
		t.Errorf("a wrong token: answered %d %s", w.Code, w.Body)
	}
}

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
