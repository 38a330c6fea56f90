package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/exemplar"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/statelog"
	"example.com/orderflow/services/internal/telemetry"
)

// startTelemetry makes the providers of spans and metrics, and sets them as the global
// ones. stop exports the spans that are left, within a bounded time.
//
// Spans are exported if OTEL_EXPORTER_OTLP_ENDPOINT or its variant for traces is set. The
// other standard variables work, too. Metrics are always at /metrics.
func (c *Common) startTelemetry(service string, log *slog.Logger) (stop func(), err error) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("telemetry", "error", err) }))
	named := resource.NewSchemaless(attribute.String("service.name", service), attribute.String("service.version", version()))
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	reader, err := exporter.New(exporter.WithRegisterer(metrics), exporter.WithoutScopeInfo(), exporter.WithoutTargetInfo())
	if err != nil {
		return nil, fmt.Errorf("make the metrics: %w", err)
	}
	// The handler below serves no exemplars.
	meters := metric.NewMeterProvider(metric.WithReader(reader), metric.WithResource(named), metric.WithExemplarFilter(exemplar.AlwaysOffFilter))
	otel.SetMeterProvider(meters)
	c.metrics = promhttp.InstrumentMetricHandler(metrics, promhttp.HandlerFor(metrics, promhttp.HandlerOpts{
		Registry: metrics, ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 2, Timeout: 10 * time.Second,
	}))
	if err := telemetry.ObserveBuild(meters, service, version()); err != nil {
		return nil, fmt.Errorf("make the metrics: %w", err)
	}
	stopTraces, err := c.startTraces(named, log)
	if err != nil {
		return nil, err
	}
	return func() {
		stopTraces()
		_ = meters.Shutdown(context.Background()) // exports nothing, so it does not wait
	}, nil
}

func (c *Common) startTraces(named *resource.Resource, log *slog.Logger) (stop func(), err error) {
	if os.Getenv("OTEL_SDK_DISABLED") == "true" || os.Getenv("OTEL_TRACES_EXPORTER") == "none" ||
		cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT")) == "" {
		return func() {}, nil
	}
	if name := os.Getenv("OTEL_TRACES_EXPORTER"); name != "" && name != "otlp" {
		return nil, fmt.Errorf("OTEL_TRACES_EXPORTER: %q is not supported; give otlp or none", name)
	}
	otlp, err := newExporter()
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	of, err := resource.New(ctx, resource.WithAttributes(named.Attributes()...), resource.WithTelemetrySDK(), resource.WithHost(), resource.WithProcessPID(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	// A collector that is away stops nobody: spans that don't fit the queue are dropped.
	tracers := trace.NewTracerProvider(trace.WithBatcher(&loggingExporter{SpanExporter: otlp, log: log}), trace.WithResource(of))
	otel.SetTracerProvider(tracers)
	return func() {
		ctx, cancel := context.WithTimeout(ctx, c.closeTimeout())
		defer cancel()
		if err := tracers.Shutdown(ctx); err != nil {
			log.Warn("the last spans were not exported", "error", err)
		}
	}, nil
}

// newExporter makes the exporter of OTEL_EXPORTER_OTLP_PROTOCOL, without a connection.
func newExporter() (*otlptrace.Exporter, error) {
	switch protocol := cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"), "http/protobuf"); protocol {
	case "http/protobuf":
		return otlptracehttp.New(context.Background())
	case "grpc":
		return otlptracegrpc.New(context.Background())
	default:
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL: %q is not supported; give http/protobuf or grpc", protocol)
	}
}

// loggingExporter logs when exports begin to fail, and when they work again.
type loggingExporter struct {
	trace.SpanExporter
	log   *slog.Logger
	state statelog.State
}

// ExportSpans returns nil: the state is logged, and the spans are lost.
func (e *loggingExporter) ExportSpans(ctx context.Context, spans []trace.ReadOnlySpan) error {
	if err := e.SpanExporter.ExportSpans(ctx, spans); err != nil {
		e.state.Down(ctx, e.log, "spans can't be exported; they are dropped", err, "spans", len(spans))
	} else {
		e.state.Up(ctx, e.log, "spans are exported again")
	}
	return nil
}

// metricsHandler serves the metrics.
func (c *Common) metricsHandler(w http.ResponseWriter, r *http.Request) error {
	if c.metrics == nil { // the program is used as a library
		return errors.New("metrics were not started")
	}
	c.metrics.ServeHTTP(w, r)
	return nil
}

// observe reports in the metrics whether the servers answer.
func (c *Common) observe(store ports.Pinger, broker ports.Pinger) error {
	return telemetry.ObserveServers(nil, map[string]func(context.Context) error{"store": store.Ping, "broker": broker.Ping})
}
