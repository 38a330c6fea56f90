// Package telemetry has the spans and metrics of the services. Names and attributes
// follow OpenTelemetry's semantic conventions; no attribute has personal data.
//
// One order is one trace. The place of an event in the trace is kept with the event
// ([domain.Origin]), so a publication an hour later and a retry days later belong to it.
// They are children, not links: the conventions prefer links for a consumer of batches,
// whose messages have different causes. Here every span is about one event, whose order
// is its only cause.
package telemetry

import (
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

const scope = "example.com/orderflow"

// Telemetry has the instruments of the services.
type Telemetry struct {
	tracer   trace.Tracer
	isGlobal bool // the tracer is of OpenTelemetry's global provider
	meter    metric.Meter

	requests                                      metric.Int64Counter
	placed, published, handled, recorded, stalls  metric.Int64Counter
	inFlight, sending                             metric.Int64UpDownCounter
	requestTook, publishTook, publishDelay        metric.Float64Histogram
	publishSize, markSize, attempted, notifyDelay metric.Float64Histogram
	prepared                                      prepared
}

// New makes the instruments. A nil provider means the global one.
func New(tracers trace.TracerProvider, meters metric.MeterProvider) *Telemetry {
	isGlobal := tracers == nil
	if isGlobal {
		tracers = otel.GetTracerProvider()
	}
	if meters == nil {
		meters = otel.GetMeterProvider()
	}
	t := &Telemetry{tracer: tracers.Tracer(scope), isGlobal: isGlobal, meter: meters.Meter(scope)}
	t.requests, t.requestTook, t.inFlight = t.counter(requests), t.histogram(requestDuration, callSeconds), t.upDown(requestsNow)
	t.placed, t.published = t.counter(ordersPlaced), t.counter(published)
	t.publishTook, t.publishDelay = t.histogram(publishDuration, callSeconds), t.histogram(publishDelay, waitSeconds)
	t.publishSize, t.markSize = t.histogram(publishBatch, batchSizes), t.histogram(markBatch, batchSizes)
	t.handled, t.recorded, t.stalls = t.counter(handled), t.counter(notifications), t.counter(stalls)
	t.attempted, t.sending = t.histogram(attempts, callSeconds), t.upDown(sendingNow)
	t.notifyDelay = t.histogram(notifyDelay, waitSeconds)
	return t
}

// Lazy makes its Telemetry at the first use, after the providers were set.
type Lazy struct {
	once sync.Once
	made *Telemetry
}

// Get returns the same Telemetry each time.
func (l *Lazy) Get(tracers trace.TracerProvider, meters metric.MeterProvider) *Telemetry {
	l.once.Do(func() { l.made = New(tracers, meters) })
	return l.made
}
