package httpapi

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"example.com/orderflow/domain"
)

// The link keeps the query's parameters, in a form that is safe in a header.
func TestLinkNext(t *testing.T) {
	for query, want := range map[string]string{
		"":                                   "<?cursor=next>; rel=\"next\"",
		"limit=2&cursor=before&a=b":          "<?limit=2&a=b&cursor=next>; rel=\"next\"",
		"&&reason=a>b+c%2Cd\x00\"&state=%E4": "<?reason=a%3Eb+c%2Cd%00%22&state=%E4&cursor=next>; rel=\"next\"",
		strings.Repeat("a", 4097):            "",
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/x", nil)
		r.URL.RawQuery = query
		if err := WritePage(w, r, []int{1}, "next", 0, func(n int) int { return n }); err != nil || w.Header().Get("Link") != want {
			t.Errorf("%.20q: %v, Link %q, want %q", query, err, w.Header().Get("Link"), want)
		}
		w = httptest.NewRecorder()
		if err := WritePage(w, r, []int{1}, "", 0, func(n int) int { return n }); err != nil || w.Header()["Link"] != nil {
			t.Errorf("%.20q: the last page has Link %q", query, w.Header()["Link"])
		}
	}
}

// Each answer forbids caches to store it, unless its handler allows it.
func TestNoStore(t *testing.T) {
	h := ForOperators(NewHandler(Routes{
		"/empty": {http.MethodGet: func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(http.StatusNoContent); return nil }},
		"/large": {http.MethodGet: func(w http.ResponseWriter, _ *http.Request) error {
			WriteLarge(w, struct {
				A int `json:"a"`
			}{1}, "b", []byte("c"))
			return nil
		}},
		"/public": {http.MethodGet: func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("Cache-Control", "public, max-age=60")
			return WriteJSON(w, http.StatusOK, "x")
		}},
		"/error": {http.MethodGet: func(http.ResponseWriter, *http.Request) error {
			return Invalid(domain.FieldError{Field: "x", Reason: "y"})
		}},
	}, NewHealth(), discard), discard)
	for _, path := range []string{"/empty", "/large", "/public", "/error", "/unknown", "/livez", "/readyz", "//empty"} {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
			want := "no-store"
			if path == "/public" && method != "POST" {
				want = "public, max-age=60"
			}
			if got := w.Header().Get("Cache-Control"); got != want || w.Header().Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s %s: Cache-Control %q, want %q", method, path, got, want)
			}
			if method == "HEAD" && w.Body.Len() > 0 {
				t.Errorf("HEAD %s has a body: %s", path, w.Body)
			}
		}
	}
}
