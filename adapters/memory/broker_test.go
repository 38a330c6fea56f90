package memory_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// consumeFor consumes for as long as d.
func consumeFor(t *testing.T, broker *memory.Broker, d time.Duration, handle ports.Handler) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := broker.Consume(ctx, handle); err != nil {
		t.Fatal(err)
	}
}

func publish(t *testing.T, broker *memory.Broker, orders ...int) {
	t.Helper()
	var events []domain.Event
	for _, n := range orders {
		events = append(events, order(t, n).Created())
	}
	if err := broker.Publish(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
}

func TestBrokerDefaultDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broker memory.Broker
		publish(t, &broker, 1)
		start := time.Now()
		var after []time.Duration
		consumeFor(t, &broker, time.Hour, func(context.Context, ports.Delivery) error {
			after = append(after, time.Since(start))
			return errors.New("not yet")
		})
		want := []time.Duration{0, time.Second, 11 * time.Second, 71 * time.Second, 671 * time.Second}
		if diff := cmp.Diff(want, after); diff != "" {
			t.Errorf("attempts after (-want +got):\n%s", diff)
		}
	})
}

func TestBrokerHandleTimeout(t *testing.T) {
	tests := []struct {
		handle, stop, consume, want time.Duration
	}{
		{0, 0, time.Hour, 30 * time.Second},
		{time.Second, 0, time.Hour, time.Second},
		{0, 0, time.Second, 6 * time.Second},
		{0, 2 * time.Second, time.Second, 3 * time.Second},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			broker := memory.Broker{HandleTimeout: tt.handle, StopTimeout: tt.stop}
			publish(t, &broker, 1)
			start := time.Now()
			var took time.Duration
			consumeFor(t, &broker, tt.consume, func(ctx context.Context, _ ports.Delivery) error {
				<-ctx.Done()
				took = time.Since(start)
				return nil
			})
			if took != tt.want {
				t.Errorf("%+v: handler's context ended after %v", tt, took)
			}
		})
	}
}

func TestBrokerPrefetch(t *testing.T) {
	for _, tt := range []struct{ set, want int }{{0, memory.DefaultPrefetch}, {1, 1}, {7, 7}} {
		synctest.Test(t, func(t *testing.T) {
			broker := memory.Broker{Prefetch: tt.set}
			for n := range 3 * memory.DefaultPrefetch {
				publish(t, &broker, n)
			}
			ctx, cancel := context.WithCancel(t.Context())
			inHand, done := make(chan int, 3*memory.DefaultPrefetch), make(chan error)
			go func() {
				done <- broker.Consume(ctx, func(context.Context, ports.Delivery) error {
					inHand <- 1
					<-ctx.Done()
					return nil
				})
			}()
			synctest.Wait()
			if got := len(inHand); got != tt.want {
				t.Errorf("prefetch %d: %d handlers at once, want %d", tt.set, got, tt.want)
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			if got := len(inHand); got != tt.want {
				t.Errorf("prefetch %d: %d events handed over, want none once the context had ended", tt.set, got)
			}
		})
	}
}

// A dead letter is the message as it came, fit for publishing again.
func TestBrokerKeepsDeadLettersWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broker memory.Broker
		event := order(t, 1).Created()
		publish(t, &broker, 1)
		if err := broker.Inject(t.Context(), []byte("no event")); err != nil {
			t.Fatal(err)
		}
		consumeFor(t, &broker, time.Minute, func(context.Context, ports.Delivery) error {
			return ports.Permanent(errors.New("no such address"))
		})
		message, err := wire.Encode(event)
		if err != nil {
			t.Fatal(err)
		}
		want := map[domain.EventID]memory.DeadLetter{
			event.ID: {EventID: event.ID, Message: message, Reason: "no such address", Attempts: 1},
			"":       {Message: wire.Message{Body: []byte("no event")}, Attempts: 1},
		}
		for _, got := range broker.DeadLetters() {
			if got.EventID == "" {
				if got.Reason == "" {
					t.Error("no reason for what is no event")
				}
				got.Reason = ""
			}
			if diff := cmp.Diff(want[got.EventID], got); diff != "" {
				t.Errorf("dead letter (-want +got):\n%s", diff)
			}
			delete(want, got.EventID)
		}
		if len(want) > 0 {
			t.Errorf("not set aside: %+v", want)
		}
	})
}

func TestInjectLeavesTheBodyToTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broker memory.Broker
		body := []byte("no event")
		if err := broker.Inject(t.Context(), body); err != nil {
			t.Fatal(err)
		}
		clear(body)
		consumeFor(t, &broker, time.Second, func(context.Context, ports.Delivery) error { return nil })
		if dead := broker.DeadLetters(); len(dead) != 1 || string(dead[0].Message.Body) != "no event" {
			t.Errorf("set aside: %+v", dead)
		}
	})
}

func TestInjectWithAnEndedContext(t *testing.T) {
	var broker memory.Broker
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := broker.Inject(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
}

func TestDeliveriesDefaultLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log memory.Deliveries
		event := order(t, 1).Created().ID
		claim := func() error {
			_, err := log.Claim(t.Context(), event, "mail")
			return err
		}
		if err := claim(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(memory.DefaultDeliveryLease - 1)
		if err := claim(); !errors.Is(err, ports.ErrClaimed) {
			t.Errorf("just before the lease's end: error %v, want %v", err, ports.ErrClaimed)
		}
		time.Sleep(time.Nanosecond)
		if err := claim(); err != nil {
			t.Errorf("at the lease's end: %v", err)
		}
	})
}

func BenchmarkBroker(b *testing.B) {
	var broker memory.Broker
	event := order(b, 1).Created()
	ctx, cancel := context.WithCancel(b.Context())
	handled, done := make(chan struct{}), make(chan error)
	go func() {
		done <- broker.Consume(ctx, func(context.Context, ports.Delivery) error {
			handled <- struct{}{}
			return nil
		})
	}()
	for b.Loop() {
		if err := broker.Publish(ctx, event); err != nil {
			b.Fatal(err)
		}
		<-handled
	}
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}
