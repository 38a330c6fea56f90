package memory_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/adapters/internal/eventschema"
	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	orderservice "example.com/orderflow/services/order"
)

// consumeFor consumes for d.
func consumeFor(t *testing.T, broker *memory.Broker, d time.Duration, handle ports.Handler) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := broker.Consumer().Consume(ctx, handle); err != nil {
		t.Fatal(err)
	}
}

func publish(t *testing.T, broker *memory.Broker, orders ...int) {
	t.Helper()
	var events []domain.Event
	for _, n := range orders {
		events = append(events, order(t, n).Created())
	}
	if err := errors.Join(broker.Publisher().Publish(t.Context(), events...)...); err != nil {
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
			handling, done := make(chan int, 3*memory.DefaultPrefetch), make(chan error)
			go func() {
				done <- broker.Consumer().Consume(ctx, func(context.Context, ports.Delivery) error {
					handling <- 1
					<-ctx.Done()
					return nil
				})
			}()
			synctest.Wait()
			if got := len(handling); got != tt.want {
				t.Errorf("prefetch %d: %d handlers at once, want %d", tt.set, got, tt.want)
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			if got := len(handling); got != tt.want {
				t.Errorf("prefetch %d: %d events handled, want none after the context ended", tt.set, got)
			}
		})
	}
}

// The log names a dead letter by the id that DeadLetters returns.
func TestBrokerLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		broker := memory.Broker{Delays: delays, Logger: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
		publish(t, &broker, 1)
		calls := 0
		consumeFor(t, &broker, time.Minute, func(context.Context, ports.Delivery) error {
			switch calls++; calls {
			case 1:
				return ports.Postpone(errors.New("the store is unreachable"))
			case 2:
				return errors.New("busy")
			}
			return ports.Permanent(errors.New("no such address"))
		})
		if err := broker.Inject(t.Context(), []byte("hello")); err != nil {
			t.Fatal(err)
		}
		consumeFor(t, &broker, time.Minute, func(context.Context, ports.Delivery) error { return nil })

		letters := broker.DeadLetters()
		event := order(t, 1).Created()
		want := []string{
			fmt.Sprintf(`"level":"DEBUG","msg":"event is postponed","event_id":%q,"attempts":0,"again_in":"50ms","reason":"the store is unreachable"}`, event.ID),
			fmt.Sprintf(`"level":"WARN","msg":"attempt failed; the event comes again","event_id":%q,"attempts":1,"again_in":"50ms","reason":"busy"}`, event.ID),
			fmt.Sprintf(`"level":"WARN","msg":"message is set aside as a dead letter","id":%q,"attempts":2,"reason":"no such address"}`, letters[0].ID),
			fmt.Sprintf(`"level":"WARN","msg":"message is set aside as a dead letter","id":%q,"attempts":1,"reason":%q}`, letters[1].ID, letters[1].Failure.Reason),
		}
		var got []string
		for line := range strings.Lines(log.String()) {
			_, line, _ = strings.Cut(strings.TrimSpace(line), ",") // removes the time
			got = append(got, line)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("logged (-want +got):\n%s", diff)
		}
	})
}

// DeadLetters leaves the letters in the queue, and returns copies.
func TestBrokerDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := memory.Broker{Logger: slog.New(slog.DiscardHandler)}
		event := order(t, 1).Created()
		publish(t, &broker, 1)
		start := time.Now().UTC().Truncate(time.Millisecond)
		consumeFor(t, &broker, time.Minute, func(_ context.Context, d ports.Delivery) error {
			if d.Attempt == 1 {
				return errors.New("busy")
			}
			return ports.Permanent(errors.New("no such address"))
		})
		message, err := wire.Encode(event)
		if err != nil {
			t.Fatal(err)
		}
		want := []ports.DeadLetter{wire.DeadLetter("", message, ports.Failure{
			Reason: "no such address", Attempts: 2, FirstFailure: start, LastFailure: start.Add(time.Second),
		})}
		for range 2 {
			got := broker.DeadLetters()
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("dead letters (-want +got):\n%s", diff)
			}
			clear(got[0].Message.Headers)
			clear(got[0].Message.Body)
		}
	})
}

func TestDrainPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := memory.Broker{Logger: slog.New(slog.DiscardHandler)}
		if err := broker.Inject(t.Context(), []byte("no event")); err != nil {
			t.Fatal(err)
		}
		consumeFor(t, &broker, time.Second, func(context.Context, ports.Delivery) error { return nil })
		start := time.Now()
		var after []time.Duration
		keep := func(context.Context, ports.DeadLetter) error {
			after = append(after, time.Since(start))
			return errors.New("the store is unreachable")
		}
		for range 2 { // the second call gets the letter immediately
			ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
			defer cancel()
			if err := broker.DeadLetterQueue().Drain(ctx, keep); err != nil {
				t.Fatal(err)
			}
		}
		var want []time.Duration
		for _, s := range []time.Duration{0, 10, 20, 25, 35, 45} {
			want = append(want, s*time.Second)
		}
		if diff := cmp.Diff(want, after); diff != "" {
			t.Errorf("handed over after (-want +got):\n%s", diff)
		}
		if n := len(broker.DeadLetters()); n != 1 {
			t.Errorf("%d dead letters are left, want the one that was not kept", n)
		}
	})
}

func TestInjectCopiesTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broker memory.Broker
		body := []byte("no event")
		if err := broker.Inject(t.Context(), body); err != nil {
			t.Fatal(err)
		}
		clear(body)
		consumeFor(t, &broker, time.Second, func(context.Context, ports.Delivery) error { return nil })
		if dead := broker.DeadLetters(); len(dead) != 1 || string(dead[0].Message.Body) != "no event" {
			t.Errorf("dead letters: %+v, want one with the body before its change", dead)
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

func TestMessagesAreDescribed(t *testing.T) {
	broker := &memory.Broker{Logger: slog.New(slog.DiscardHandler)}
	eventschema.CheckPublished(t, orderservice.AsyncAPI, eventschema.Broker{
		Publisher: broker.Publisher(), Consumer: broker.Consumer(), DeadLetters: broker.DeadLetterQueue(),
	}, laptop().Created())
}
