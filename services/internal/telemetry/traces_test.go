package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	api "go.opentelemetry.io/otel/trace"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/telemetry"
)

func newEvent(t testing.TB) domain.Event {
	t.Helper()
	order, err := domain.NewOrder("0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234", "secret-user", "secret-product", 1, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	return order.Created()
}

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0"

// Events whose traces are not recorded are published as they are, and the given slice is
// never changed.
func TestPublishingKeepsTheEvents(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	tel := telemetry.New(trace.NewTracerProvider(trace.WithSpanProcessor(recorder)), nil)
	plain, unsampled, sampled := newEvent(t), newEvent(t), newEvent(t)
	unsampled.Origin = domain.Origin{RequestID: "id", TraceParent: parent + "0", TraceState: "a=b"}
	sampled.Origin = domain.Origin{RequestID: "id", TraceParent: parent + "1", TraceState: "a=b"}
	given := []domain.Event{plain, unsampled, sampled}
	sent, end := tel.Publishing(t.Context(), nil, given)
	end([]error{nil, nil, fmt.Errorf("secret text: %w", ports.ErrUnavailable)})
	if given[2] != sampled || sent[0] != plain || sent[1] != unsampled {
		t.Errorf("given %+v, sent %+v", given, sent)
	}
	ended := recorder.Ended()
	if len(ended) != 1 {
		t.Fatalf("%d spans, want one", len(ended))
	}
	own := ended[0].SpanContext()
	want := domain.Origin{RequestID: "id", TraceParent: "00-" + own.TraceID().String() + "-" + own.SpanID().String() + "-01", TraceState: "a=b"}
	if sent[2].Origin != want || ended[0].Parent().SpanID().String() != "b7ad6b7169203331" || ended[0].SpanKind() != api.SpanKindProducer {
		t.Errorf("origin %+v, want %+v, of span %+v", sent[2].Origin, want, ended[0])
	}
	if got := errorType(ended[0]); got != "unavailable" {
		t.Errorf("the error's type is %q", got)
	}
	for _, a := range ended[0].Attributes() {
		if strings.Contains(a.Value.String(), "secret") {
			t.Errorf("attribute %s is %s", a.Key, a.Value.String())
		}
	}
}

// A later attempt is a child of the span that handled the event first.
func TestLaterAttempt(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	tel := telemetry.New(trace.NewTracerProvider(trace.WithSpanProcessor(recorder)), nil)
	event := newEvent(t)
	event.Origin.TraceParent = parent + "1"
	_, end := tel.Processing(t.Context(), nil, "mail", &event)
	end(nil)
	_, end2 := tel.Attempt(telemetry.NewContext(t.Context(), event.Origin), "mail", &event, 2)
	end2("refused", errors.New("no"))
	ended := recorder.Ended()
	if len(ended) != 2 || ended[1].Parent().SpanID() != ended[0].SpanContext().SpanID() || ended[1].SpanContext().TraceID() != ended[0].SpanContext().TraceID() {
		t.Errorf("spans %+v", ended)
	}
	if got := errorType(ended[1]); got != "refused" {
		t.Errorf("the error's type is %q", got)
	}
}

func errorType(span trace.ReadOnlySpan) string {
	for _, a := range span.Attributes() {
		if a.Key == "error.type" {
			return a.Value.AsString()
		}
	}
	return ""
}

// late is a global provider. OpenTelemetry hands earlier tracers over to the first that is
// set, so it is the same each time the tests run.
var (
	late   = trace.NewTracerProvider(trace.WithSpanProcessor(ofLate))
	ofLate = tracetest.NewSpanRecorder()
)

// A global provider that is set after New makes spans, too.
func TestLateGlobalProvider(t *testing.T) {
	before := otel.GetTracerProvider()
	t.Cleanup(func() { otel.SetTracerProvider(before) })
	ofLate.Reset()
	tel := telemetry.New(nil, nil)
	for range 2 {
		_, end := tel.Request(t.Context(), nil, "GET", true)
		end("/orders", 200)
		otel.SetTracerProvider(late)
	}
	if ended := ofLate.Ended(); len(ended) != 1 || ended[0].Name() != "GET /orders" {
		t.Errorf("spans %v, want that of the second request", ended)
	}
}

// Nothing is allocated for spans that are not recorded.
func TestNoSpanAllocatesNothing(t *testing.T) {
	tel := telemetry.New(nil, nil)
	header, events, errs := make(http.Header), []domain.Event{newEvent(t)}, []error{nil}
	ctx := t.Context()
	got := testing.AllocsPerRun(100, func() {
		ctx, answered := tel.Request(ctx, header, "POST", true)
		events[0].Origin = telemetry.OriginOf(ctx)
		_, stored := tel.Storing(ctx, nil, events[0].Order.ID)
		stored(nil)
		answered("/order", 201)
		sent, published := tel.Publishing(ctx, nil, events)
		published(errs)
		ctx, done := tel.Processing(ctx, nil, "log", &sent[0])
		_, tried := tel.Attempt(ctx, "log", &sent[0], 1)
		tried("accepted", nil)
		done(nil)
	})
	if got != 0 {
		t.Errorf("%v allocations", got)
	}
}

type discard struct{}

func (discard) ExportSpans(context.Context, []trace.ReadOnlySpan) error { return nil }
func (discard) Shutdown(context.Context) error                          { return nil }

// BenchmarkTraces is what the spans of one order cost.
func BenchmarkTraces(b *testing.B) {
	sampled := func(share float64) api.TracerProvider {
		tracers := trace.NewTracerProvider(trace.WithBatcher(discard{}), trace.WithSampler(trace.ParentBased(trace.TraceIDRatioBased(share))))
		b.Cleanup(func() { _ = tracers.Shutdown(context.Background()) })
		return tracers
	}
	for _, bb := range []struct {
		name    string
		tracers api.TracerProvider
	}{{"off", nil}, {"1 %", sampled(.01)}, {"all", sampled(1)}} {
		b.Run(bb.name, func(b *testing.B) {
			tel := telemetry.New(bb.tracers, nil)
			r := httptest.NewRequest("POST", "/order", nil)
			events, errs := []domain.Event{newEvent(b)}, []error{nil}
			b.ReportAllocs()
			for b.Loop() {
				ctx, answered := tel.Request(b.Context(), r.Header, "POST", true)
				events[0].Origin = telemetry.OriginOf(ctx)
				_, stored := tel.Storing(ctx, nil, events[0].Order.ID)
				stored(nil)
				answered("/order", 201)
				sent, published := tel.Publishing(b.Context(), nil, events)
				published(errs)
				ctx, done := tel.Processing(b.Context(), nil, "log", &sent[0])
				_, tried := tel.Attempt(ctx, "log", &sent[0], 1)
				tried("accepted", nil)
				done(nil)
			}
		})
	}
}
