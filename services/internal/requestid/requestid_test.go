package requestid_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"example.com/orderflow/services/internal/requestid"
)

// A line has its context's request id once, even if the handler was wrapped twice.
func TestHandler(t *testing.T) {
	var out bytes.Buffer
	once := requestid.Handler(slog.NewTextHandler(&out, nil))
	log := slog.New(requestid.Handler(slog.New(requestid.Handler(once)).With("service", "order").Handler()))
	ctx := requestid.NewContext(t.Context(), "abc")
	log.InfoContext(ctx, "with")
	log.InfoContext(t.Context(), "without")
	lines := strings.Split(out.String(), "\n")
	if strings.Count(lines[0], "request_id=abc") != 1 || !strings.Contains(lines[0], "service=order") || strings.Contains(lines[1], "request_id") {
		t.Errorf("logged %q", lines)
	}
	if id := requestid.FromContext(t.Context()); id != "" {
		t.Errorf("a context without a request has the id %q", id)
	}
}
