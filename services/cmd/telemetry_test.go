package cmd_test

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"example.com/orderflow/services/internal/telemetry"
)

// span is a span that the collector has received.
type span struct{ service, name, trace, parent string }

type spans struct {
	mu  sync.Mutex
	all map[string]span // by id
}

// startCollector starts a collector that takes OTLP by HTTP.
func startCollector(t *testing.T) (*spans, string) {
	t.Helper()
	s := &spans{all: make(map[string]span)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var request collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &request)
		}
		if err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("export to %s: %v", r.URL.Path, err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, resource := range request.ResourceSpans {
			service := ""
			for _, a := range resource.Resource.Attributes {
				if a.Key == "service.name" {
					service = a.Value.GetStringValue()
				}
			}
			for _, scope := range resource.ScopeSpans {
				for _, sp := range scope.Spans {
					s.all[hex.EncodeToString(sp.SpanId)] = span{service, sp.Name, hex.EncodeToString(sp.TraceId), hex.EncodeToString(sp.ParentSpanId)}
					if text := sp.String(); strings.Contains(text, "secret-user") || strings.Contains(text, "secret-product") {
						t.Errorf("span %s has personal data: %s", sp.Name, text)
					}
				}
			}
		}
	}))
	t.Cleanup(server.Close)
	return s, server.URL
}

// path returns the names from the span with this name up to the trace's root.
func (s *spans) path(trace, name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, at := range s.all {
		if at.trace == trace && at.name == name {
			path := at.service + ": " + at.name
			for {
				parent, ok := s.all[at.parent]
				if !ok {
					return path + " < " + at.parent
				}
				at = parent
				path += " < " + at.service + ": " + at.name
			}
		}
	}
	return ""
}

const (
	traceID  = "0af7651916cd43dd8448eb211c80319c"
	clientID = "b7ad6b7169203331"
)

func placeTraced(t *testing.T, address, flags string) {
	t.Helper()
	r, err := http.NewRequest("POST", "http://"+address+"/order", strings.NewReader(`{"user_id":"secret-user","product":"secret-product","quantity":1}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Traceparent", "00-"+traceID+"-"+clientID+"-"+flags)
	r.Header.Set("X-Request-ID", "my-request")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		t.Fatalf("status %d", response.StatusCode)
	}
}

// An order is one trace from the client's span to the attempt to notify, in both
// processes. Each log line about it has the trace's id.
func TestOneTrace(t *testing.T) {
	collected, endpoint := startCollector(t)
	settings := servers(t)
	orders, notifications := freeAddress(t), freeAddress(t)
	processes := make(map[string]*process)
	for name, address := range map[string]string{"order": orders, "notification": notifications} {
		p := prepare(name, append(settings, "--addr="+address, "--log-level=debug")...)
		processes[name] = p
		p.cmd.Env = append(p.cmd.Env, "OTEL_EXPORTER_OTLP_ENDPOINT="+endpoint, "OTEL_BSP_SCHEDULE_DELAY=100", "OTEL_SERVICE_NAME=my-"+name)
		p.start(t)
		awaitReady(t, address)
	}
	placeTraced(t, orders, "01")
	for span, want := range map[string]string{
		"notify log":    "my-notification: notify log < my-notification: process order.created < my-order: send order.created < my-order: POST /order < " + clientID,
		"insert orders": "my-order: insert orders < my-order: POST /order < " + clientID,
	} {
		eventually(t, func() error {
			if diff := cmp.Diff(want, collected.path(traceID, span)); diff != "" {
				return fmt.Errorf("path (-want +got):\n%s", diff)
			}
			return nil
		})
	}
	for name, p := range processes {
		p.stopWell(t, syscall.SIGTERM)
		for line := range strings.Lines(p.out.String()) {
			if strings.Contains(line, "my-request") && !strings.Contains(line, `"trace_id":"`+traceID+`"`) {
				t.Errorf("no trace in %s", line)
			}
		}
		if !strings.Contains(p.out.String(), "my-request") {
			t.Errorf("%s logs nothing of the request", name)
		}
	}
}

// A collector that is away, or hangs, delays neither orders nor the stop.
func TestCollectorIsAway(t *testing.T) {
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	defer hanging.Close()
	for name, endpoint := range map[string]string{"refuses": "http://" + freeAddress(t), "hangs": hanging.URL} {
		t.Run(name, func(t *testing.T) {
			p, orders, _ := allInOne(t)
			p.cmd.Env = append(p.cmd.Env, "OTEL_EXPORTER_OTLP_ENDPOINT="+endpoint, "OTEL_BSP_SCHEDULE_DELAY=50")
			p.start(t)
			awaitReady(t, orders)
			placeTraced(t, orders, "01")
			if name == "refuses" {
				awaitLine(t, p, "spans can't be exported")
			}
			p.stopWell(t, syscall.SIGTERM)
			if n := strings.Count(p.out.String(), "spans can't be exported"); n > 1 {
				t.Errorf("logged %d times", n)
			}
		})
	}
}

// The settings that don't work are named at the start.
func TestWrongTelemetry(t *testing.T) {
	for variable, text := range map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL=http/json": "give http/protobuf or grpc", "OTEL_TRACES_EXPORTER=console": "give otlp or none"} {
		status, _, stderr := run(t, []string{"STORE_URL=memory:", "BROKER_URL=memory:", "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:1", variable}, "orderflow")
		name, _, _ := strings.Cut(variable, "=")
		if status != 1 || !strings.Contains(stderr, name) || !strings.Contains(stderr, text) {
			t.Errorf("%s: status %d: %s", variable, status, stderr)
		}
	}
}

// A running program has each metric that the table documents, except the backlogs until
// something reads them, and beside them those of Go and the process.
func TestMetricsEndpoint(t *testing.T) {
	admin := freeAddress(t)
	p, orders, _ := allInOne(t, "--admin-addr="+admin)
	p.start(t)
	awaitReady(t, orders)
	placeTraced(t, orders, "00")
	read := func() (string, error) {
		response, err := http.Get("http://" + admin + "/metrics")
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		return string(body), err
	}
	eventually(t, func() error {
		text, err := read()
		if err != nil {
			return err
		}
		for _, want := range []string{
			`orderflow_http_requests_total{method="POST",route="/order",status="2xx"} 1`, "orderflow_orders_placed_total 1",
			`orderflow_events_published_total{result="confirmed"} 1`, `orderflow_notifications_total{channel="log",state="sent"} 1`,
			`orderflow_backlog{channel="",place="outbox"} 0`, `orderflow_backlog{channel="log",place="queue"} 0`, `orderflow_backlog_oldest_seconds{channel="log",place="held"} 0`,
			`orderflow_backlog{channel="log",place="dead_letters"} 0`, `orderflow_stalls_total{place="outbox"} 0`, `orderflow_stalled{place="outbox"} 0`, `orderflow_consumers{channel="log"} 1`, `orderflow_pauses{channel="log",kind="paused"} 0`, `orderflow_stalls_total{place="channel log"} 0`, `orderflow_up{server="store"} 1`, `orderflow_up{server="broker"} 1`, "go_goroutines ", "process_resident_memory_bytes ",
		} {
			if !strings.Contains(text, want) {
				return fmt.Errorf("%s is not in\n%s", want, text)
			}
		}
		for _, m := range telemetry.Metrics {
			if !strings.Contains(text, "# TYPE "+m.Prom+" ") {
				return fmt.Errorf("%s is missing", m.Prom)
			}
		}
		return nil
	})
	p.stopWell(t, syscall.SIGTERM)
}
