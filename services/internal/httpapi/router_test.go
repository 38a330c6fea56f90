package httpapi_test

import (
	"log/slog"
	"net/http/httptest"
	"testing"

	"example.com/orderflow/services/internal/httpapi"
)

// A path that is not clean is redirected to the one that is, escaped once.
func TestRedirectToCleanPath(t *testing.T) {
	h := httpapi.NewHandler(nil, nil, slog.New(slog.DiscardHandler))
	for target, want := range map[string]string{
		"/a//%c2%9b%1b":      "/a/%c2%9b%1b",
		"/a/../b%2Fc/?x=%1b": "/b%2Fc/?x=%1b",
		"//a.example/b":      "/a.example/b",
		"/a/./":              "/a/",
		"//":                 "/",
		"/a//é":              "/a/%C3%A9",
		"/a/%c2%9b/":         "",
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "http://localhost"+target, nil))
		status := 307
		if want == "" {
			status = 404
		}
		if got := w.Header().Get("Location"); got != want || w.Code != status {
			t.Errorf("%s: %d to %q, want %d to %q", target, w.Code, got, status, want)
		}
	}
}
