package cmd_test

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
)

// The log level changes while a service runs. The log says who has changed it.
func TestLogLevel(t *testing.T) {
	admin := freeAddress(t)
	p, address := orderAlone(t, "--log-level=error", "--admin-addr="+admin)
	p.start(t)
	awaitReady(t, address)
	url := "http://" + admin + "/log-level"
	for i, step := range []struct {
		body   string
		status int
		level  string // afterwards
		line   string // new in the log; empty: none
	}{
		{"", http.StatusOK, "error", ""},
		{`{"level":"debug","by":"ann"}`, http.StatusOK, "debug", `"level":"INFO","msg":"the log level was changed","from":"error","to":"debug","by":"ann"`},
		{`{"level":"warn"}`, http.StatusOK, "warn", `"from":"debug","to":"warn","by":"http 127.0.0.1"`},
		{`{"level":"error","by":"bob"}`, http.StatusOK, "error", `"level":"WARN","msg":"the log level was changed","from":"warn","to":"error","by":"bob"`},
		{`{"level":"loud"}`, http.StatusUnprocessableEntity, "error", ""},
		{`{"level":"INFO"}`, http.StatusUnprocessableEntity, "error", ""},
		{`{}`, http.StatusUnprocessableEntity, "error", ""},
		{`{"level":"info","by":""}`, http.StatusUnprocessableEntity, "error", ""},
		{`{"level":"error"}`, http.StatusOK, "error", ""},
	} {
		method := "PUT"
		if step.body == "" {
			method = "GET"
		}
		before := strings.Count(p.out.String(), "the log level was changed")
		if status, err := fetch(method, url, step.body, nil); err != nil || status != step.status {
			t.Errorf("step %d: %d %v, want %d", i, status, err, step.status)
		}
		var now struct{ Level string }
		if _, err := fetch("GET", url, "", &now); err != nil || now.Level != step.level {
			t.Errorf("step %d: level %q, %v, want %q", i, now.Level, err, step.level)
		}
		if step.line != "" {
			eventually(t, func() error {
				if lines := p.out.String(); !strings.Contains(lines, step.line) {
					return fmt.Errorf("step %d: the log has no %s", i, step.line)
				}
				return nil
			})
		} else if after := strings.Count(p.out.String(), "the log level was changed"); after != before {
			t.Errorf("step %d: the log has %d lines about the level, want %d", i, after, before)
		}
	}
	// A page of another site can't change it.
	request, err := http.NewRequest("PUT", url, strings.NewReader(`{"level":"debug"}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Origin", "https://example.com")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusForbidden {
		t.Errorf("a page of another site: %s", response.Status)
	}
	p.stopWell(t, syscall.SIGTERM)
}
