package account_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/account"
)

// A place that stalls is reported once, and once when it moves again. One that moves slowly,
// or where nothing waits, is not.
func TestWatchdog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.broker.Prefetch = 1
		var log bytes.Buffer
		watchdog, err := account.NewWatchdog(w.office(t), slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		var stalled []string
		watchdog.Stalled = func(place string) { stalled = append(stalled, place) }
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- watchdog.Run(ctx) }()
		check := func(after time.Duration, want string) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			err := watchdog.Ping(t.Context())
			if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		}
		check(5*time.Minute, "")
		if err := w.store.Orders().Add(t.Context(), newOrder(t, 1), domain.Origin{}); err != nil {
			t.Fatal(err)
		}
		check(59*time.Second, "")
		check(15*time.Second, "outbox: 1 events wait to be published, the oldest for 1m10s")
		if err := w.store.Orders().MarkPublished(t.Context(), newOrder(t, 1).Created().ID); err != nil {
			t.Fatal(err)
		}
		check(11*time.Second, "")

		w.place(t, 10, 4)
		for range 4 {
			check(50*time.Second, "")
			w.handle(t, 1, domain.Held)
		}
		check(5*time.Minute, "") // a pause holds them
		w.place(t, 20, 1)
		check(75*time.Second, "channel mail: 1 events wait in the queue, which has 0 consumers")
		w.handle(t, 1, domain.Sent)
		check(11*time.Second, "")

		w.place(t, 40, 8) // repeats are recorded already
		for n := range 8 {
			w.record(t, 40+n, domain.Dead)
		}
		for range 6 {
			check(50*time.Second, "")
			w.handle(t, 1, "")
		}
		check(50*time.Second, "") // then what is recorded is sent, and two wait for a consumer
		w.record(t, 40, domain.Sent)
		check(25*time.Second, "channel mail: 2 events wait in the queue")
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := strings.Join(stalled, ","); got != "outbox,channel mail,channel mail" {
			t.Errorf("stalled: %s", got)
		}
		if n, again := strings.Count(log.String(), "nothing moves"), strings.Count(log.String(), "moves again"); n != 3 || again != 2 {
			t.Errorf("logged:\n%s", &log)
		}
	})
}

// An outage of the store is not a stall: nobody knows what waits.
func TestWatchdogDuringAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var down atomic.Bool
		orders := w.parts.Orders
		w.parts = account.Parts{Orders: func(ctx context.Context) (ports.OutboxAccount, error) {
			if down.Load() {
				return ports.OutboxAccount{}, ports.ErrUnavailable
			}
			return orders(ctx)
		}}
		watchdog, err := account.NewWatchdog(w.office(t), discard)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Minute)
		defer stop()
		go func() {
			time.Sleep(time.Second)
			down.Store(true)
		}()
		if err := watchdog.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if err := watchdog.Ping(t.Context()); err != nil {
			t.Errorf("got %v", err)
		}
	})
}
