package httpapi

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"example.com/orderflow/ports"
)

// Senders who are not known can't fill the log.
func TestRefusalsAreCounted(t *testing.T) {
	for _, err := range []error{&Unauthenticated{}, &Unauthenticated{Reason: "the token has expired"}, fmt.Errorf("the keys are away: %w", ports.ErrUnavailable)} {
		var lines bytes.Buffer
		log := slog.New(slog.NewTextHandler(&lines, nil))
		var refusals Refusals
		h := NewHandler(Routes{"/orders": {http.MethodGet: func(w http.ResponseWriter, r *http.Request) error {
			return refusals.Unauthenticated(w, r, err, log)
		}}}, nil, log)
		for range 100 {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("GET", "/orders", nil))
			if w.Code != 401 && w.Code != 503 {
				t.Errorf("%v: answered %d", err, w.Code)
			}
		}
		if n := strings.Count(lines.String(), "\n"); n != 1 || !strings.Contains(lines.String(), err.Error()) {
			t.Errorf("%v: there are %d lines, want 1:\n%.300s", err, n, lines.String())
		}
	}
}
