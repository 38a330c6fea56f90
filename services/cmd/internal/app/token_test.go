package app

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The token goes to the server that is asked, and to no other. Only answers of admin addresses
// are about the tokens of operators.
func TestWithToken(t *testing.T) {
	t.Setenv(tokenVariable, "secret")
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("another server is asked, with %q", r.Header["Authorization"])
	}))
	defer elsewhere.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "Bearer secret" {
			t.Errorf("the server gets %q", got)
		}
		w.Header().Set("Location", elsewhere.URL)
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(map[string]int{"/moved": 302, "/wrong": 401, "/often": 429}[r.URL.Path])
	}))
	defer server.Close()
	for path, status := range map[string]int{"/moved": 302, "/wrong": 401, "/often": 429} {
		for name, with := range map[string]func(*http.Client) *http.Client{"public": WithToken, "admin": withAdminToken} {
			client := with(&http.Client{Transport: new(http.Transport)})
			response, err := client.Get(server.URL + path)
			client.CloseIdleConnections()
			if name == "admin" && status != 302 {
				if err == nil || !strings.Contains(err.Error(), tokenVariable) || strings.Contains(err.Error(), "secret") {
					t.Errorf("%s %s: %v", name, path, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s %s: %v", name, path, err)
				continue
			}
			response.Body.Close()
			if response.StatusCode != status || response.Header.Get("Retry-After") != "7" {
				t.Errorf("%s %s: answered %v", name, path, response)
			}
		}
	}
}
