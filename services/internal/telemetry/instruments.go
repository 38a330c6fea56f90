package telemetry

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
)

// labels are the values of a metric's labels, in the order of Metric.Labels.
type labels [3]string

func setOf(m *Metric, values labels) attribute.Set {
	attributes := make([]attribute.KeyValue, len(m.Labels))
	for i, name := range m.Labels {
		attributes[i] = attribute.String(name, values[i])
	}
	return attribute.NewSet(attributes...)
}

// series keeps what make returned for the values of a metric's labels, which are few.
// Reading takes no lock and allocates nothing.
type series[T any] struct {
	make  func(labels) T // nil: the metric has no labels
	mu    sync.Mutex
	known atomic.Pointer[[]known[T]] // replaced as a whole
}

type known[T any] struct {
	values labels
	made   T
}

func (s *series[T]) get(values labels) (_ T) {
	if s.make == nil {
		return
	}
	all := s.all()
	for i := range all { // faster than a map: equal texts are mostly the same text
		if all[i].values == values {
			return all[i].made
		}
	}
	return s.add(values)
}

func (s *series[T]) add(values labels) T {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.all()
	if i := slices.IndexFunc(all, func(k known[T]) bool { return k.values == values }); i >= 0 {
		return all[i].made
	}
	all = append(slices.Clip(all), known[T]{values, s.make(values)})
	s.known.Store(&all)
	return all[len(all)-1].made
}

func (s *series[T]) all() []known[T] {
	if all := s.known.Load(); all != nil {
		return *all
	}
	return nil
}

type counter struct {
	instrument metric.Int64Counter
	options    series[[]metric.AddOption]
}

func newCounter(meter metric.Meter, m *Metric) *counter {
	c := new(counter)
	if len(m.Labels) > 0 {
		c.options.make = func(values labels) []metric.AddOption {
			return []metric.AddOption{metric.WithAttributeSet(setOf(m, values))}
		}
	}
	var err error
	if c.instrument, err = meter.Int64Counter(m.Name, metric.WithUnit(m.Unit), metric.WithDescription(m.Help)); err != nil {
		otel.Handle(err)
		c.instrument = noop.Int64Counter{}
	}
	return c
}

func (c *counter) add(ctx context.Context, n int, values labels) {
	c.instrument.Add(ctx, int64(n), c.options.get(values)...)
}

// level is a number that goes up and down, and is read when the metrics are collected.
// OpenTelemetry adds up the levels of one name, so each part of a process may have its own.
type level struct{ numbers series[*atomic.Int64] }

func newLevel(meter metric.Meter, m *Metric) *level {
	l := new(level)
	l.numbers.make = func(labels) *atomic.Int64 { return new(atomic.Int64) }
	c, err := meter.Int64ObservableUpDownCounter(m.Name, metric.WithUnit(m.Unit), metric.WithDescription(m.Help))
	if err == nil {
		_, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
			for _, of := range l.numbers.all() {
				o.ObserveInt64(c, of.made.Load(), metric.WithAttributeSet(setOf(m, of.values)))
			}
			return nil
		}, c)
	}
	if err != nil {
		otel.Handle(err)
	}
	return l
}

func (l *level) add(n int64, values labels) { l.numbers.get(values).Add(n) }

type histogram struct {
	instrument metric.Float64Histogram
	options    series[[]metric.RecordOption]
}

func newHistogram(meter metric.Meter, m *Metric, buckets metric.HistogramOption) *histogram {
	h := new(histogram)
	if len(m.Labels) > 0 {
		h.options.make = func(values labels) []metric.RecordOption {
			return []metric.RecordOption{metric.WithAttributeSet(setOf(m, values))}
		}
	}
	var err error
	if h.instrument, err = meter.Float64Histogram(m.Name, metric.WithUnit(m.Unit), metric.WithDescription(m.Help), buckets); err != nil {
		otel.Handle(err)
		h.instrument = noop.Float64Histogram{}
	}
	return h
}

func (h *histogram) record(ctx context.Context, value float64, values labels) {
	h.instrument.Record(ctx, value, h.options.get(values)...)
}
