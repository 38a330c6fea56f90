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

	requests, placed, published, handled, recorded, stalls, refused *counter
	inFlight, sending                                               *level
	requestTook, publishTook, publishDelay                          *histogram
	publishSize, markSize, attempted, notifyDelay                   *histogram
}

// New makes the instruments. A nil provider means the global one.
func New(tracers trace.TracerProvider, meters metric.MeterProvider) *Telemetry {
	isGlobal := tracers == nil
	if isGlobal {
		tracers = otel.GetTracerProvider()
	}
	meter := meterOf(meters)
	return &Telemetry{
		tracer: tracers.Tracer(scope), isGlobal: isGlobal,
		requests: newCounter(meter, &requests), requestTook: newHistogram(meter, &requestDuration, callSeconds),
		inFlight: newLevel(meter, &requestsNow),
		placed:   newCounter(meter, &ordersPlaced), published: newCounter(meter, &published),
		publishTook: newHistogram(meter, &publishDuration, callSeconds), publishDelay: newHistogram(meter, &publishDelay, waitSeconds),
		publishSize: newHistogram(meter, &publishBatch, batchSizes), markSize: newHistogram(meter, &markBatch, batchSizes),
		handled: newCounter(meter, &handled), recorded: newCounter(meter, &notifications), stalls: newCounter(meter, &stalls), refused: newCounter(meter, &refused),
		attempted: newHistogram(meter, &attempts, callSeconds), sending: newLevel(meter, &sendingNow),
		notifyDelay: newHistogram(meter, &notifyDelay, waitSeconds),
	}
}

// meterOf returns the provider's meter. A nil provider means the global one.
func meterOf(meters metric.MeterProvider) metric.Meter {
	if meters == nil {
		meters = otel.GetMeterProvider()
	}
	return meters.Meter(scope)
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
