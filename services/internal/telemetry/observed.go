package telemetry

import (
	"context"
	"runtime"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
)

// Backlog is what waits at one place.
type Backlog struct {
	Place   string
	Channel string // empty: the outbox, or the queue of dead letters
	Count   int64
	Oldest  time.Time // zero: nothing waits
}

// ObserveBacklogs reads the backlogs each time that the metrics are collected. After an
// error the gauges have no values.
func ObserveBacklogs(meters metric.MeterProvider, read func(context.Context) ([]Backlog, error)) error {
	t := New(nil, meters)
	counts, err := t.meter.Int64ObservableGauge(backlog.Name, metric.WithUnit(backlog.Unit), metric.WithDescription(backlog.Help))
	if err != nil {
		return err
	}
	ages, err := t.meter.Float64ObservableGauge(backlogAge.Name, metric.WithUnit(backlogAge.Unit), metric.WithDescription(backlogAge.Help))
	if err != nil {
		return err
	}
	_, err = t.meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		found, err := read(ctx)
		for _, b := range found {
			age := 0.0
			if !b.Oldest.IsZero() {
				age = max(time.Since(b.Oldest), 0).Seconds()
			}
			at := metric.WithAttributeSet(setOf(&backlog, labels{b.Channel, b.Place}))
			o.ObserveInt64(counts, b.Count, at)
			o.ObserveFloat64(ages, age, at)
		}
		return err
	}, counts, ages)
	return err
}

// ObserveServers reports for each server whether its ping succeeds, each time that the
// metrics are collected. A ping takes a second at most.
func ObserveServers(meters metric.MeterProvider, pings map[string]func(context.Context) error) error {
	t := New(nil, meters)
	_, err := t.meter.Int64ObservableGauge(connectionUp.Name, metric.WithDescription(connectionUp.Help),
		metric.WithInt64Callback(func(ctx context.Context, o metric.Int64Observer) error {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			type answer struct {
				server string
				up     int64
			}
			answers := make(chan answer, len(pings))
			for server, ping := range pings {
				go func() {
					a := answer{server, 1}
					if ping(ctx) != nil {
						a.up = 0
					}
					answers <- a
				}()
			}
			for range pings {
				a := <-answers
				o.Observe(a.up, metric.WithAttributeSet(setOf(&connectionUp, labels{a.server})))
			}
			return nil
		}))
	return err
}

// ObserveBuild reports what runs.
func ObserveBuild(meters metric.MeterProvider, service, version string) error {
	if meters == nil {
		meters = otel.GetMeterProvider()
	}
	_, err := meters.Meter(scope).Int64ObservableGauge(buildInfo.Name, metric.WithDescription(buildInfo.Help),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(1, metric.WithAttributeSet(setOf(&buildInfo, labels{runtime.Version(), service, version})))
			return nil
		}))
	return err
}
