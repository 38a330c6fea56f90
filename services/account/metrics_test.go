package account_test

import (
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"example.com/orderflow/domain"
)

// The metrics show what waits at each place, with the age of the oldest, and 0 where nothing
// does.
func TestBacklogMetrics(t *testing.T) {
	w := newWorld(t)
	reader := metric.NewManualReader()
	if err := w.office(t).Observe(metric.NewMeterProvider(metric.WithReader(reader))); err != nil {
		t.Fatal(err)
	}
	waiting := newOrder(t, 1)
	waiting.CreatedAt = domain.TruncateTime(time.Now().Add(-time.Hour))
	if err := w.store.Orders().Add(t.Context(), waiting, domain.Origin{}); err != nil {
		t.Fatal(err)
	}
	var got metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &got); err != nil {
		t.Fatal(err)
	}
	counts, ages := make(map[string]int64), make(map[string]float64)
	for _, m := range got.ScopeMetrics[0].Metrics {
		switch data := m.Data.(type) {
		case metricdata.Gauge[int64]:
			for _, p := range data.DataPoints {
				place, _ := p.Attributes.Value("place")
				counts[place.AsString()] += p.Value
			}
		case metricdata.Gauge[float64]:
			for _, p := range data.DataPoints {
				place, _ := p.Attributes.Value("place")
				ages[place.AsString()] += p.Value
			}
		}
	}
	for _, place := range []string{"outbox", "queue", "retrying", "held", "dead", "dead_letters", "dead_letter_queue"} {
		want := int64(0)
		if place == "outbox" {
			want = 1
		}
		if n, ok := counts[place]; !ok || n != want {
			t.Errorf("%s: %d (known: %v), want %d", place, n, ok, want)
		}
		if age, ok := ages[place]; !ok || (age >= 3600) != (want > 0) {
			t.Errorf("%s: the oldest is %v s old (known: %v)", place, age, ok)
		}
	}
}
