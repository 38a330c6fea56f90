package order_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/order"
)

// pingedBroker is a broker that can be pinged.
type pingedBroker struct {
	broker
	mu    sync.Mutex
	away  bool
	pings int
}

func (b *pingedBroker) Ping(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pings++
	if b.away {
		return fmt.Errorf("ping: %w", ports.ErrUnavailable)
	}
	return nil
}

func (b *pingedBroker) set(away bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.away = away
}

// While nobody orders, the log still reports an outage of the broker, each minute, and its
// end.
func TestRelayReportsOutageWithoutOrders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		b := new(pingedBroker)
		relay := must(order.NewRelay(new(outbox), b, slog.New(slog.NewTextHandler(&log, nil))))
		ctx, stop := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() {
			if err := relay.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(5 * time.Minute)
		if log.Len() > 0 {
			t.Errorf("while the broker works, the log says %q", log.String())
		}
		b.set(true)
		time.Sleep(3*time.Minute + 15*time.Second)
		b.set(false)
		time.Sleep(time.Minute)
		stop()
		run.Wait()
		const down, up = "the broker is unavailable; events would wait in the outbox", "the broker is available again"
		if got := log.String(); strings.Count(got, down) != 4 || strings.Count(got, up) != 1 || !strings.Contains(got, "for=3m0s") || !strings.Contains(got, "waiting_at_least=0") {
			t.Errorf("the log says\n%s", got)
		}
	})
}

// A relay that stops while the broker is unavailable says how many events it leaves.
func TestRelaySaysWhatItLeaves(t *testing.T) {
	for _, away := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			b := new(broker)
			if away {
				b.err = ports.ErrUnavailable
			}
			s := newSystem(new(outbox), b, slog.New(slog.NewTextHandler(&log, nil)))
			s.run(t)
			s.add(t, 1, 7)
			time.Sleep(time.Second)
			s.stop()
			const line = `msg="the relay leaves events in the outbox; another order service or the next start publishes them" at_least=7`
			if got := log.String(); strings.Contains(got, line) != away {
				t.Errorf("away %v: the log says\n%s", away, got)
			}
		})
	}
}
