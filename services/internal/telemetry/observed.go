package telemetry

import (
	"context"
	"runtime"
	"time"

	"go.opentelemetry.io/otel/metric"
)

// Backlog is what waits at one place.
type Backlog struct {
	Place   string
	Channel string // empty: the outbox, or the queue of dead letters
	Count   int64
	Oldest  time.Time // zero: nothing waits, or it is not known
}

// ObserveBacklogs reads the backlogs each time that the metrics are collected. After an
// error the gauges have no values.
func ObserveBacklogs(meters metric.MeterProvider, read func(context.Context) ([]Backlog, error)) error {
	meter := meterOf(meters)
	counts, err := meter.Int64ObservableGauge(backlog.Name, metric.WithUnit(backlog.Unit), metric.WithDescription(backlog.Help))
	if err != nil {
		return err
	}
	ages, err := meter.Float64ObservableGauge(backlogAge.Name, metric.WithUnit(backlogAge.Unit), metric.WithDescription(backlogAge.Help))
	if err != nil {
		return err
	}
	_, err = meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		found, err := read(ctx)
		for _, b := range found {
			age := 0.0
			if !b.Oldest.IsZero() {
				age = max(time.Since(b.Oldest), 0).Seconds()
			}
			at := metric.WithAttributeSet(setOf(&backlog, labels{b.Channel, b.Place}))
			o.ObserveInt64(counts, b.Count, at)
			if b.Count == 0 || !b.Oldest.IsZero() {
				o.ObserveFloat64(ages, age, at)
			}
		}
		return err
	}, counts, ages)
	return err
}

// Gauges are values that are observed each time that the metrics are collected, by the name
// of a place or channel.
type Gauges struct {
	Stalled   map[string]bool   // by place
	Consumers map[string]int    // by channel
	Pauses    map[[2]string]int // by channel and kind
}

// Observe reports the gauges. After an error those that are nil have no values.
func Observe(meters metric.MeterProvider, read func(context.Context) (Gauges, error)) error {
	meter := meterOf(meters)
	var all [3]metric.Int64ObservableGauge
	for i, m := range []Metric{stalled, consumers, pauses} {
		gauge, err := meter.Int64ObservableGauge(m.Name, metric.WithDescription(m.Help))
		if err != nil {
			return err
		}
		all[i] = gauge
	}
	_, err := meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		found, err := read(ctx)
		for place, is := range found.Stalled {
			value := int64(0)
			if is {
				value = 1
			}
			o.ObserveInt64(all[0], value, metric.WithAttributeSet(setOf(&stalled, labels{place})))
		}
		for channel, n := range found.Consumers {
			o.ObserveInt64(all[1], int64(n), metric.WithAttributeSet(setOf(&consumers, labels{channel})))
		}
		for of, n := range found.Pauses {
			o.ObserveInt64(all[2], int64(n), metric.WithAttributeSet(setOf(&pauses, labels{of[0], of[1]})))
		}
		return err
	}, all[0], all[1], all[2])
	return err
}

// ObserveServers reports for each server whether its ping succeeds, each time that the
// metrics are collected. A ping takes a second at most.
func ObserveServers(meters metric.MeterProvider, pings map[string]func(context.Context) error) error {
	meter := meterOf(meters)
	_, err := meter.Int64ObservableGauge(connectionUp.Name, metric.WithDescription(connectionUp.Help),
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
	_, err := meterOf(meters).Int64ObservableGauge(buildInfo.Name, metric.WithDescription(buildInfo.Help),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(1, metric.WithAttributeSet(setOf(&buildInfo, labels{runtime.Version(), service, version})))
			return nil
		}))
	return err
}
