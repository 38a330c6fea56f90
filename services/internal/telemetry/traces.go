package telemetry

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/requestid"
)

// w3c is W3C Trace Context.
var w3c propagation.TraceContext

// The kinds of spans, prepared so that a span that is not recorded costs little.
var (
	server   = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindServer)}
	client   = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient)}
	producer = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindProducer)}
	consumer = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindConsumer)}
)

// OriginOf returns what the context says of the event's cause: its request and span.
func OriginOf(ctx context.Context) domain.Origin {
	return within(ctx, domain.Origin{RequestID: requestid.FromContext(ctx)})
}

// within returns the origin with the context's span, if it has one.
func within(ctx context.Context, origin domain.Origin) domain.Origin {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return origin
	}
	own := domain.Origin{RequestID: origin.RequestID}
	w3c.Inject(ctx, carrier{&own})
	return own
}

// from returns a context with the origin's span as the parent of those that begin in it.
func from(ctx context.Context, origin domain.Origin) context.Context {
	return w3c.Extract(ctx, carrier{&origin})
}

// carrier reads and writes an origin as headers.
type carrier struct{ origin *domain.Origin }

func (c carrier) Get(name string) string {
	switch name {
	case "traceparent":
		return c.origin.TraceParent
	case "tracestate":
		return c.origin.TraceState
	}
	return ""
}

func (c carrier) Set(name, value string) {
	switch name {
	case "traceparent":
		c.origin.TraceParent = value
	case "tracestate":
		if len(value) <= domain.MaxTraceState {
			c.origin.TraceState = value
		}
	}
}

func (c carrier) Keys() []string { return []string{"traceparent", "tracestate"} }

// NewContext returns a context with the request's id and the span of the origin.
func NewContext(ctx context.Context, origin domain.Origin) context.Context {
	if origin.RequestID != "" {
		ctx = requestid.NewContext(ctx, origin.RequestID)
	}
	if origin.TraceParent != "" {
		ctx = from(ctx, origin)
	}
	return ctx
}

// unset is OpenTelemetry's global provider until one is set, which records nothing. It is
// nil if one was set before.
var unset = func() trace.TracerProvider {
	provider := otel.GetTracerProvider()
	if _, span := provider.Tracer(scope).Start(context.Background(), "probe"); span.SpanContext().IsValid() {
		return nil
	}
	return provider
}()

// Request begins the span of a request within ctx, and continues the client's trace. end
// takes the route, which is empty if no route has the path, and the answer's status.
func (t *Telemetry) Request(ctx context.Context, header http.Header, method string, traced bool) (_ context.Context, end func(route string, status int)) {
	if header["Traceparent"] != nil {
		ctx = w3c.Extract(ctx, propagation.HeaderCarrier(header))
	}
	if !traced || t.isGlobal && otel.GetTracerProvider() == unset {
		return ctx, func(string, int) {}
	}
	ctx, span := t.tracer.Start(ctx, method, server...)
	if !span.IsRecording() {
		return ctx, func(string, int) {} // nothing to end
	}
	return ctx, func(route string, status int) {
		span.SetAttributes(attribute.String("http.request.method", method), attribute.Int("http.response.status_code", status),
			attribute.String("url.scheme", "http"))
		if route != "" {
			span.SetName(method + " " + route)
			span.SetAttributes(attribute.String("http.route", route), attribute.String("url.path", route)) // a path may have a user's id
		}
		if status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, "")
			span.SetAttributes(attribute.String("error.type", strconv.Itoa(status)))
		}
		span.End()
	}
}

// system names the product behind a port, if the adapter tells it.
func system(adapter any) string {
	if s, ok := adapter.(interface{ System() string }); ok {
		return s.System()
	}
	return "other"
}

// Storing begins the span of an order's insert by the store, if the request's is recorded.
func (t *Telemetry) Storing(ctx context.Context, store any, id domain.OrderID) (_ context.Context, end func(error)) {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return ctx, func(error) {}
	}
	ctx, span := t.tracer.Start(ctx, "insert orders", client...)
	span.SetAttributes(attribute.String("db.system.name", system(store)), attribute.String("db.operation.name", "insert"),
		attribute.String("db.collection.name", "orders"), attribute.String("orderflow.order.id", string(id)))
	return ctx, func(err error) { finish(span, err) }
}

// Publishing returns the events as they are sent, each within a span of its own if its
// trace is recorded. The slice given stays as it is. end takes the answers.
func (t *Telemetry) Publishing(ctx context.Context, publisher any, events []domain.Event) (sent []domain.Event, end func([]error)) {
	var spans []trace.Span
	for i := range events {
		if !isSampled(events[i].Origin) {
			continue
		}
		event := events[i]
		own, span := t.tracer.Start(from(ctx, event.Origin), "send "+string(event.Type), producer...)
		if !span.IsRecording() {
			continue
		}
		span.SetAttributes(messaging("send", system(publisher), event)...)
		span.SetAttributes(attribute.Int("messaging.batch.message_count", len(events)))
		if spans == nil {
			sent, spans = append([]domain.Event(nil), events...), make([]trace.Span, len(events))
		}
		sent[i].Origin, spans[i] = within(own, event.Origin), span
	}
	if spans == nil {
		return events, func([]error) {}
	}
	return sent, func(errs []error) {
		for i, span := range spans {
			if span != nil {
				finish(span, errs[i])
			}
		}
	}
}

// isSampled reports whether the trace is recorded, by the last bit of the flags.
func isSampled(o domain.Origin) bool {
	if o.TraceParent == "" {
		return false
	}
	const odd = "13579bdf"
	last := o.TraceParent[len(o.TraceParent)-1]
	for i := range len(odd) {
		if odd[i] == last {
			return true
		}
	}
	return false
}

// Processing begins the span of an event that a channel has taken from its queue. The span
// becomes the event's origin, for what follows from it.
func (t *Telemetry) Processing(ctx context.Context, queue any, channel string, event *domain.Event) (_ context.Context, end func(error)) {
	ctx = NewContext(ctx, event.Origin)
	if !isSampled(event.Origin) {
		return ctx, func(error) {}
	}
	ctx, span := t.tracer.Start(ctx, "process "+string(event.Type), consumer...)
	if span.IsRecording() {
		span.SetAttributes(messaging("process", system(queue), *event)...)
		span.SetAttributes(attribute.String("messaging.consumer.group.name", channel))
	}
	event.Origin = within(ctx, event.Origin)
	return ctx, func(err error) { finish(span, err) }
}

func messaging(operation, system string, event domain.Event) []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("messaging.system", system), attribute.String("messaging.operation.type", operation),
		attribute.String("messaging.operation.name", operation), attribute.String("messaging.destination.name", string(event.Type)),
		attribute.String("messaging.message.id", string(event.ID)),
	}
}

// Attempt begins the span of one attempt to notify.
func (t *Telemetry) Attempt(ctx context.Context, channel string, event *domain.Event, attempt int) (_ context.Context, end func(outcome string, err error)) {
	if !isSampled(event.Origin) {
		return ctx, func(string, error) {}
	}
	ctx, span := t.tracer.Start(ctx, "notify "+channel, client...)
	if span.IsRecording() {
		span.SetAttributes(attribute.String("orderflow.channel", channel), attribute.Int("orderflow.attempt", attempt),
			attribute.String("orderflow.event.id", string(event.ID)))
	}
	return ctx, func(outcome string, err error) {
		if span.IsRecording() {
			span.SetAttributes(attribute.String("orderflow.outcome", outcome))
		}
		finishAs(span, err, outcome)
	}
}

// finish ends the span. The error's text stays in the log: it may have an address.
func finish(span trace.Span, err error) { finishAs(span, err, kind(err)) }

func finishAs(span trace.Span, err error, kind string) {
	if err != nil && span.IsRecording() {
		span.SetStatus(codes.Error, "")
		span.SetAttributes(attribute.String("error.type", kind))
	}
	span.End()
}

// kind names the error, one of few.
func kind(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, ports.ErrUnavailable):
		return "unavailable"
	case ports.IsPermanent(err):
		return "permanent"
	}
	return "_OTHER"
}
