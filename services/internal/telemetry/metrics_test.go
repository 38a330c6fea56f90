package telemetry_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"

	"example.com/orderflow/services/internal/telemetry"
)

// collected returns the value of each metric and its labels; of a histogram its count.
func collected(t *testing.T, metrics *prometheus.Registry) map[string]string {
	t.Helper()
	w := httptest.NewRecorder()
	promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	values := make(map[string]string)
	for line := range strings.Lines(w.Body.String()) {
		if i := strings.LastIndexByte(line, ' '); !strings.HasPrefix(line, "#") {
			values[line[:i]] = strings.TrimSpace(line[i:])
		}
	}
	return values
}

// Every metric of the table exists under its name, with its labels, and moves.
func TestMetrics(t *testing.T) {
	metrics := prometheus.NewRegistry()
	reader, err := exporter.New(exporter.WithRegisterer(metrics), exporter.WithoutScopeInfo(), exporter.WithoutTargetInfo())
	if err != nil {
		t.Fatal(err)
	}
	meters := metric.NewMeterProvider(metric.WithReader(reader))
	ctx := t.Context()
	count, up := int64(1), errors.New("down")
	err = errors.Join(
		telemetry.ObserveBuild(meters, "order", "v1"),
		telemetry.ObserveServers(meters, map[string]func(context.Context) error{"store": func(context.Context) error { return up }}),
		telemetry.Observe(meters, func(context.Context) (telemetry.Gauges, error) {
			return telemetry.Gauges{map[string]bool{"outbox": count > 1}, map[string]int{"mail": int(count)}, map[[2]string]int{{"mail", "paused"}: int(count)}}, nil
		}),
		telemetry.ObserveBacklogs(meters, func(context.Context) ([]telemetry.Backlog, error) {
			return []telemetry.Backlog{{Place: "outbox", Count: count, Oldest: time.Now().Add(-time.Hour * time.Duration(count))}, {Place: "held", Channel: "mail"}}, nil
		}))
	if err != nil {
		t.Fatal(err)
	}
	tel := telemetry.New(nil, meters)
	use := func() {
		tel.Placed(ctx)
		tel.Published(ctx, time.Second, 1, 1, 1)
		tel.Confirmed(ctx, -time.Second) // a clock that was set back
		tel.Marked(ctx, 3)
		tel.Stalled(ctx, "outbox", 1)
		tel.Refused(ctx, "role", 1)
		tel.Handled(ctx, "mail", "done")
		tel.Recorded(ctx, "mail", "sent")
		tel.Notified(ctx, "mail", time.Second)
		tel.Requesting()
		tel.Requesting()
		tel.Requested(ctx, "GET", "/orders", 200, time.Second)
		tel.Sending("mail")
		tel.Sending("mail")
		tel.Sent(ctx, "mail", "accepted", time.Second)
	}
	use()
	before := collected(t, metrics)
	use()
	count, up = 2, nil
	after := collected(t, metrics)
	for _, m := range telemetry.Metrics {
		found, moved := "", false
		for name, value := range after {
			rest, ok := strings.CutPrefix(name, m.Prom)
			if rest, isCount := strings.CutPrefix(rest, "_count"); isCount {
				ok, name = true, m.Prom+rest
			}
			if labels := strings.TrimPrefix(name, m.Prom); ok && (labels == "" || labels[0] == '{') {
				found = labels
				moved = moved || before[name] != value || before[m.Prom+"_count"+labels] != after[m.Prom+"_count"+labels]
			}
		}
		var names []string
		for _, label := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(found, -1) {
			names = append(names, label[1])
		}
		if got, want := strings.Join(names, ","), strings.Join(m.Labels, ","); got != want {
			t.Errorf("%s has the labels %q, want %q", m.Prom, got, want)
		}
		if !moved && m.Prom != "orderflow_build_info" {
			t.Errorf("%s does not exist or does not move", m.Prom)
		}
	}
	for name := range after {
		family := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(regexp.MustCompile(`\{.*`).ReplaceAllString(name, ""), "_bucket"), "_sum"), "_count")
		if !strings.Contains(telemetry.Table(), "| `"+family+"`") {
			t.Errorf("%s is not in the table", family)
		}
	}
}

// What is in flight in several parts of a process is added up.
func TestLevelsAddUp(t *testing.T) {
	metrics := prometheus.NewRegistry()
	reader, err := exporter.New(exporter.WithRegisterer(metrics), exporter.WithoutScopeInfo(), exporter.WithoutTargetInfo())
	if err != nil {
		t.Fatal(err)
	}
	meters := metric.NewMeterProvider(metric.WithReader(reader))
	for range 2 {
		tel := telemetry.New(nil, meters)
		tel.Requesting()
		tel.Sending("mail")
	}
	got := collected(t, metrics)
	if got["orderflow_http_requests_in_flight"] != "2" || got[`orderflow_attempts_in_flight{channel="mail"}`] != "2" {
		t.Errorf("got %v", got)
	}
}

// The README has the table of metrics.
func TestTable(t *testing.T) {
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(readme), "orderflow_") && !strings.Contains(string(readme), telemetry.Table()) {
		t.Errorf("README.md does not have this table:\n%s", telemetry.Table())
	}
}

// placeOne records what one order does.
func placeOne(ctx context.Context, tel *telemetry.Telemetry) {
	tel.Requesting()
	tel.Requested(ctx, "POST", "/order", 201, time.Millisecond)
	tel.Placed(ctx)
	tel.Confirmed(ctx, time.Millisecond)
	tel.Handled(ctx, "log", "done")
	tel.Sending("log")
	tel.Sent(ctx, "log", "accepted", time.Millisecond)
	tel.Recorded(ctx, "log", "sent")
	tel.Notified(ctx, "log", time.Millisecond)
}

func newTelemetries() map[string]*telemetry.Telemetry {
	meters := metric.NewMeterProvider(metric.WithReader(metric.NewManualReader()))
	return map[string]*telemetry.Telemetry{"off": telemetry.New(nil, nil), "on": telemetry.New(nil, meters)}
}

// The metrics of an order allocate nothing, once their labels were seen.
func TestMetricsAllocateNothing(t *testing.T) {
	for name, tel := range newTelemetries() {
		if got := testing.AllocsPerRun(100, func() { placeOne(t.Context(), tel) }); got != 0 {
			t.Errorf("%s: %v allocations", name, got)
		}
	}
}

// BenchmarkMetrics is what the metrics of one order cost.
func BenchmarkMetrics(b *testing.B) {
	for name, tel := range newTelemetries() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				placeOne(b.Context(), tel)
			}
		})
	}
}
