package rabbitmq_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"

	"example.com/orderflow/ports"
)

// One operation is one event.
func BenchmarkPublish(b *testing.B) {
	for _, each := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("events=%d", each), func(b *testing.B) {
			publisher := newPublisher(b, brokerURL(b), newTopology(b))
			events := newEvents(b, each)
			publish(b, publisher, events...)
			b.ResetTimer()
			for left := b.N; left > 0; left -= each {
				publish(b, publisher, events[:min(each, left)]...)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// One event a call, from several callers.
func BenchmarkPublishAtOnce(b *testing.B) {
	publisher := newPublisher(b, brokerURL(b), newTopology(b))
	publish(b, publisher, newEvent(b))
	b.SetParallelism(32) // for each core
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		event := newEvent(b)
		for pb.Next() {
			if err := publisher.Publish(context.Background(), event); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkConsume(b *testing.B) {
	topology := newTopology(b)
	publisher := newPublisher(b, brokerURL(b), topology)
	for left := b.N; left > 0; left -= 1000 {
		publish(b, publisher, newEvents(b, min(1000, left))...)
	}
	consumer := newConsumer(b, brokerURL(b), topology)
	consumer.Logger = slog.New(slog.DiscardHandler)
	var handled atomic.Int64
	all := make(chan struct{})
	b.ResetTimer()
	stop := consume(b, consumer, func(context.Context, ports.Delivery) error {
		if handled.Add(1) == int64(b.N) {
			close(all)
		}
		return nil
	})
	<-all
	stop()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
