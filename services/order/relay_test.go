package order_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/order"
)

// broker is a publisher that can be away, hang, and count.
type broker struct {
	mu        sync.Mutex
	err       error
	hang      bool
	refuses   map[domain.EventID]bool
	refused   int // how often
	published map[domain.EventID]int
	order     []domain.EventID
	calls     int
}

func (b *broker) Publish(ctx context.Context, events ...domain.Event) []error {
	return slices.Repeat([]error{b.publish(ctx, events...)}, len(events))
}

func (b *broker) publish(ctx context.Context, events ...domain.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	if b.hang {
		b.mu.Unlock()
		<-ctx.Done()
		b.mu.Lock()
		return fmt.Errorf("publish: %w", ctx.Err())
	}
	if b.err != nil {
		return b.err
	}
	for _, e := range events {
		if b.refuses[e.ID] {
			b.refused++
			return errors.New("message too large")
		}
	}
	if b.published == nil {
		b.published = make(map[domain.EventID]int)
	}
	for _, e := range events {
		b.published[e.ID]++
		b.order = append(b.order, e.ID)
	}
	return nil
}

func (b *broker) set(err error, hang bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err, b.hang = err, hang
}

type publisherFunc func(ctx context.Context, events ...domain.Event) error

func (f publisherFunc) Publish(ctx context.Context, events ...domain.Event) []error {
	return slices.Repeat([]error{f(ctx, events...)}, len(events))
}

// counts returns how many events were published, and how many more than once.
func (b *broker) counts() (events, repeated int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, n := range b.published {
		if n > 1 {
			repeated++
		}
	}
	return len(b.published), repeated
}

func newOrder(t testing.TB, n int) domain.Order {
	t.Helper()
	o, err := domain.NewOrder(domain.OrderID(fmt.Sprintf("00000000-0000-7000-8000-%012d", n)), "123", "Laptop", 1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return o
}

type system struct {
	outbox *memory.Orders
	broker *broker
	relay  *order.Relay
	stop   func()
}

// start runs a relay.
func start(t *testing.T, outbox *memory.Orders, b *broker) *system {
	t.Helper()
	s := &system{outbox: outbox, broker: b, relay: must(order.NewRelay(outbox, b, discard))}
	s.run(t)
	return s
}

// run runs the relay; stop ends it and waits for it.
func (s *system) run(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.relay.Run(ctx); err != nil {
			t.Errorf("relay: %v", err)
		}
	})
	s.stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(s.stop)
}

// backlog keeps so many orders, whose events nobody has claimed.
func backlog(t *testing.T, outbox *memory.Orders, orders int) {
	t.Helper()
	for n := range orders {
		if err := outbox.Add(t.Context(), newOrder(t, n)); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(time.Minute) // all claims run out
}

// add keeps orders from first to last and hands their events to the relay.
func (s *system) add(t *testing.T, first, last int) {
	t.Helper()
	for n := first; n <= last; n++ {
		now, o := time.Now(), newOrder(t, n)
		if err := s.outbox.Add(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		s.relay.Enqueue(o.Created(), now)
	}
}

func (s *system) want(t *testing.T, events, repeated int) {
	t.Helper()
	synctest.Wait()
	if e, r := s.broker.counts(); e != events || r != repeated {
		t.Errorf("%d events published, %d of them repeatedly; want %d and %d", e, r, events, repeated)
	}
}

// waiting returns what is left in the outbox once every claim has run out.
func waiting(t *testing.T, outbox *memory.Orders) int {
	t.Helper()
	time.Sleep(time.Hour)
	events, err := outbox.Claim(t.Context(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return len(events)
}

// Many go at once, few wait for others for 20 ms.
func TestRelayPublishesFreshEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, new(memory.Orders), new(broker))
		s.add(t, 1, 63)
		s.want(t, 0, 0)
		s.add(t, 64, 64)
		s.want(t, 64, 0)
		s.add(t, 65, 70)
		s.want(t, 64, 0)
		time.Sleep(20 * time.Millisecond)
		s.want(t, 70, 0)
		if s.broker.calls != 2 {
			t.Errorf("%d calls, want 2", s.broker.calls)
		}
		s.stop()
		if n := waiting(t, s.outbox); n != 0 {
			t.Errorf("%d published events are still in the outbox", n)
		}
	})
}

func TestRelaySweepsWhatACrashLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := new(memory.Orders)
		var want []domain.EventID
		for n := range 1000 {
			o := newOrder(t, n)
			if err := outbox.Add(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			want = append(want, o.Created().ID)
		}
		s := start(t, outbox, new(broker))
		s.want(t, 0, 0) // whoever added them may still be at it
		time.Sleep(memory.DefaultOutboxLease + 2*time.Second)
		s.want(t, 1000, 0)
		if diff := cmp.Diff(want, s.broker.order); diff != "" {
			t.Errorf("not oldest first (-want +got):\n%s", diff)
		}
	})
}

func TestRelayWhileTheBrokerIsAway(t *testing.T) {
	for name, hang := range map[string]bool{"refusing": false, "hanging": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, new(memory.Orders), new(broker))
				s.broker.set(fmt.Errorf("publish: %w", ports.ErrUnavailable), hang)
				for minute := range 10 { // far more than the relay's memory holds
					s.add(t, minute*2000, minute*2000+1999)
					time.Sleep(time.Minute)
				}
				s.want(t, 0, 0)
				s.broker.set(nil, false)
				time.Sleep(30 * time.Second)
				s.want(t, 20_000, 0)
				s.add(t, 20_000, 20_000)
				time.Sleep(20 * time.Millisecond)
				s.want(t, 20_001, 0)
				s.stop()
				if n := waiting(t, s.outbox); n != 0 {
					t.Errorf("%d published events are still in the outbox", n)
				}
			})
		})
	}
}

// What the broker refuses holds up nobody, is tried at growing intervals, and
// goes out once the broker takes it.
func TestRelayRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := make(map[domain.EventID]bool)
		for _, n := range []int{1, 2, 3, 4, 500} { // the oldest among them
			bad[newOrder(t, n).Created().ID] = true
		}
		s := start(t, new(memory.Orders), &broker{refuses: bad})
		s.add(t, 1, 1000)
		time.Sleep(time.Minute)
		s.want(t, 995, 0)

		time.Sleep(time.Hour)
		s.broker.mu.Lock()
		tries := s.broker.refused
		s.broker.mu.Unlock()
		if tries < 60 || tries > 5000 {
			t.Errorf("tried %d times within an hour, want a few times a minute", tries)
		}
		s.add(t, 1001, 2000)
		time.Sleep(time.Second)
		s.want(t, 1995, 0)

		s.broker.mu.Lock()
		clear(s.broker.refuses)
		s.broker.mu.Unlock()
		time.Sleep(2 * time.Minute)
		s.want(t, 2000, 0)
		s.stop()
		if n := waiting(t, s.outbox); n != 0 {
			t.Errorf("%d published events are still in the outbox", n)
		}
	})
}

// hangingPostpone is an outbox that does not answer Postpone.
type hangingPostpone struct{ *memory.Orders }

func (o hangingPostpone) Release(ctx context.Context, _ time.Time, _ ...domain.EventID) error {
	<-ctx.Done()
	return ctx.Err()
}

// An outbox that hangs while refused events are postponed costs one bound, not
// one an event.
func TestRelayPostponeHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := make(map[domain.EventID]bool)
		for n := range 100 {
			bad[newOrder(t, 2*n).Created().ID] = true
		}
		s := &system{outbox: new(memory.Orders), broker: &broker{refuses: bad}}
		s.relay = must(order.NewRelay(hangingPostpone{s.outbox}, s.broker, discard))
		s.run(t)
		s.add(t, 0, 199)
		time.Sleep(time.Minute)
		s.add(t, 200, 200)
		time.Sleep(30 * time.Second)
		s.broker.mu.Lock()
		fresh := s.broker.published[newOrder(t, 200).Created().ID]
		s.broker.mu.Unlock()
		if fresh != 1 {
			t.Errorf("a fresh event was published %d times within 30s, want once", fresh)
		}
		s.stop()
	})
}

// A broker that refuses everything is taken for one that is away: nothing is
// postponed, one line a minute tells, and all goes out soon after.
func TestRelayAllRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		b := &broker{err: errors.New("no queue takes it")}
		s := &system{outbox: new(memory.Orders), broker: b}
		s.relay = must(order.NewRelay(s.outbox, b, slog.New(slog.NewTextHandler(&log, nil))))
		s.run(t)
		s.add(t, 1, 1000)
		time.Sleep(30 * time.Minute)
		s.add(t, 1001, 1200)
		time.Sleep(30 * time.Minute)
		b.set(nil, false)
		time.Sleep(30 * time.Second)
		s.want(t, 1200, 0)
		s.stop()
		away := strings.Count(log.String(), "events can't be published; they wait in the outbox")
		if n := strings.Count(log.String(), "\n"); away < 58 || away > 61 || n > away+2 {
			t.Errorf("%d lines logged, %d of the outage:\n%.1000s", n, away, log.String())
		}
		for _, want := range []string{"for=59m", "waiting_at_least=1200", "events are published again"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("no line has %q", want)
			}
		}
	})
}

func TestRelaysShareAnOutbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox, b := new(memory.Orders), new(broker)
		first, second := start(t, outbox, b), start(t, outbox, b)
		b.set(ports.ErrUnavailable, false)
		first.add(t, 1, 3000)
		second.add(t, 3001, 6000)
		time.Sleep(5 * time.Minute)
		b.set(nil, false)
		time.Sleep(time.Minute)
		first.want(t, 6000, 0)
	})
}

func TestRelayStops(t *testing.T) {
	tests := []struct {
		name      string
		err       error
		hang      bool
		published int
		within    time.Duration
	}{
		{"broker up", nil, false, 3000, 0},
		{"broker away", ports.ErrUnavailable, false, 0, 0},
		{"broker hanging", nil, true, 0, 5 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, new(memory.Orders), new(broker))
				s.broker.set(tt.err, tt.hang)
				s.add(t, 1, 3000)
				began := time.Now()
				s.stop()
				if d := time.Since(began); d > tt.within {
					t.Errorf("stopped after %v, want %v at most", d, tt.within)
				}
				s.want(t, tt.published, 0)
				if n, want := waiting(t, s.outbox), 3000-tt.published; n != want {
					t.Errorf("%d events are left in the outbox, want %d", n, want)
				}
			})
		})
	}
}

// What was handed over so long ago that its claim may have run out is the
// sweep's; what came behind it is still published at the stop.
func TestRelayStopsWithOldEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox, b := new(memory.Orders), new(broker)
		s := &system{outbox: outbox, broker: b, relay: must(order.NewRelay(outbox, b, discard))}
		s.add(t, 1, 1000)
		time.Sleep(10 * time.Second)
		s.add(t, 1001, 2000)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.relay.Run(ctx); err != nil {
			t.Fatal(err)
		}
		s.want(t, 1000, 0)
		if n := waiting(t, outbox); n != 1000 {
			t.Errorf("%d events are left in the outbox, want 1000", n)
		}
	})
}

// failingMark is an outbox whose first marks fail.
type failingMark struct {
	*memory.Orders
	mu    sync.Mutex
	fails int
}

func (o *failingMark) MarkPublished(ctx context.Context, ids ...domain.EventID) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fails > 0 {
		o.fails--
		return errors.New("away")
	}
	return o.Orders.MarkPublished(ctx, ids...)
}

func TestRelayMarksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := &failingMark{Orders: new(memory.Orders), fails: 3}
		b := new(broker)
		relay := must(order.NewRelay(outbox, b, discard))
		o := newOrder(t, 1)
		if err := outbox.Add(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		relay.Enqueue(o.Created(), time.Now())
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := relay.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if events, repeated := b.counts(); events != 1 || repeated != 0 {
			t.Errorf("%d events published, %d repeatedly; want 1 and 0", events, repeated)
		}
		if n := waiting(t, outbox.Orders); n != 0 {
			t.Errorf("%d events are left in the outbox", n)
		}
	})
}

// countedMarks counts the calls of MarkPublished, and can have them hang.
type countedMarks struct {
	*memory.Orders
	mu    sync.Mutex
	calls int
	hang  bool
}

func (o *countedMarks) MarkPublished(ctx context.Context, ids ...domain.EventID) error {
	o.mu.Lock()
	o.calls++
	hang := o.hang
	o.mu.Unlock()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	return o.Orders.MarkPublished(ctx, ids...)
}

// Events that come one after the other are published and marked together.
func TestRelayGathers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := &countedMarks{Orders: new(memory.Orders)}
		b := new(broker)
		s := &system{outbox: outbox.Orders, broker: b, relay: must(order.NewRelay(outbox, b, discard))}
		s.run(t)
		for n := range 1000 {
			s.add(t, n, n)
			time.Sleep(time.Millisecond)
		}
		began := time.Now()
		s.stop()
		if d := time.Since(began); d != 0 {
			t.Errorf("the stop took %v, want that nothing waits any more", d)
		}
		s.want(t, 1000, 0)
		if b.calls < 40 || b.calls > 60 {
			t.Errorf("1000 events within a second were published by %d calls, want one each 20 ms", b.calls)
		}
		if outbox.calls < 10 || outbox.calls > 25 {
			t.Errorf("1000 events within a second were marked by %d calls, want one each 50 ms", outbox.calls)
		}
		if n := waiting(t, outbox.Orders); n != 0 {
			t.Errorf("%d published events are still in the outbox", n)
		}
	})
}

// An outbox that hangs at the stop costs one bound, not one a batch.
func TestRelayStopsThoughMarksHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := &countedMarks{Orders: new(memory.Orders), hang: true}
		s := &system{outbox: outbox.Orders, broker: new(broker)}
		s.relay = must(order.NewRelay(outbox, s.broker, discard))
		s.add(t, 1, 5000)
		ctx, stop := context.WithCancel(t.Context())
		stop()
		began := time.Now()
		if err := s.relay.Run(ctx); err != nil {
			t.Error(err)
		}
		if d := time.Since(began); d > 5*time.Second {
			t.Errorf("stopped after %v, want one bound of 5 s", d)
		}
		s.want(t, 5000, 0)
		if outbox.calls != 1 {
			t.Errorf("%d marks were tried, want one", outbox.calls)
		}
		if n := waiting(t, outbox.Orders); n != 5000 {
			t.Errorf("%d events are in the outbox, want 5000: none is marked", n)
		}
	})
}

// slowBroker takes its time for every event, and keeps what it had taken when
// its caller gives up.
type slowBroker struct {
	broker
	each time.Duration
}

func (b *slowBroker) Publish(ctx context.Context, events ...domain.Event) []error {
	return slices.Repeat([]error{b.publish(ctx, events...)}, len(events))
}

func (b *slowBroker) publish(ctx context.Context, events ...domain.Event) error {
	for _, event := range events {
		select {
		case <-time.After(b.each):
		case <-ctx.Done():
			return fmt.Errorf("publish: %w: %w", ports.ErrUnavailable, ctx.Err())
		}
		if err := b.broker.publish(ctx, event); err != nil {
			return err
		}
	}
	return nil
}

// A slow broker has a backlog last longer, and no event published twice.
func TestRelayToASlowBroker(t *testing.T) {
	for _, tt := range []struct {
		events int
		each   time.Duration
	}{{12_000, time.Millisecond}, {12_000, 6 * time.Millisecond}, {12_000, 15 * time.Millisecond}, {4000, 6 * time.Millisecond}} {
		t.Run(fmt.Sprintf("%d events, %v each", tt.events, tt.each), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				events, each := tt.events, tt.each
				b := &slowBroker{each: each}
				s := &system{outbox: new(memory.Orders), broker: &b.broker}
				s.relay = must(order.NewRelay(s.outbox, b, discard))
				s.add(t, 1, events)
				s.run(t)
				time.Sleep(time.Duration(events)*each*5/4 + 20*time.Second) // first 15 s for claims of those that were added
				s.want(t, events, 0)
				s.stop()
				if n := waiting(t, s.outbox); n != 0 {
					t.Errorf("%d published events are still in the outbox", n)
				}
			})
		})
	}
}

// Good events get through, however many are refused before them.
func TestRelayManyRefused(t *testing.T) {
	for _, tt := range []struct {
		refused, good int
		within        time.Duration
	}{{10, 1, 5 * time.Second}, {40, 40, 10 * time.Second}, {1000, 200, time.Minute}} {
		t.Run(fmt.Sprintf("%d before %d", tt.refused, tt.good), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &broker{refuses: make(map[domain.EventID]bool)}
				outbox := new(memory.Orders)
				for n := range tt.refused {
					b.refuses[newOrder(t, n).Created().ID] = true
				}
				backlog(t, outbox, tt.refused+tt.good)
				s := start(t, outbox, b)
				time.Sleep(tt.within)
				s.want(t, tt.good, 0)
				s.stop()
				if n := waiting(t, outbox); n != tt.refused {
					t.Errorf("%d events are in the outbox, want the %d that are refused", n, tt.refused)
				}
			})
		})
	}
}

// One that is refused at the stop keeps no other from being published.
func TestRelayStopsWithARefusedEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &broker{refuses: map[domain.EventID]bool{newOrder(t, 1000).Created().ID: true}}
		s := &system{outbox: new(memory.Orders), broker: b}
		s.relay = must(order.NewRelay(s.outbox, b, discard))
		s.add(t, 1, 5000)
		ctx, stop := context.WithCancel(t.Context())
		stop()
		if err := s.relay.Run(ctx); err != nil {
			t.Fatal(err)
		}
		s.want(t, 4999, 0)
	})
}

// slowOutbox takes its time to claim many, and to mark.
type slowOutbox struct {
	*memory.Orders
	claim, mark time.Duration
}

func (o slowOutbox) Claim(ctx context.Context, limit int) ([]domain.Event, error) {
	if limit > 1000 {
		if err := sleep(ctx, o.claim); err != nil {
			return nil, err
		}
	}
	return o.Orders.Claim(ctx, limit)
}

func (o slowOutbox) MarkPublished(ctx context.Context, ids ...domain.EventID) error {
	if err := sleep(ctx, o.mark); err != nil {
		return err
	}
	return o.Orders.MarkPublished(ctx, ids...)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// An outbox that can't claim many in time is asked for fewer.
func TestRelayWithASlowOutbox(t *testing.T) {
	for _, claim := range []time.Duration{4 * time.Second, 6 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			outbox := slowOutbox{Orders: new(memory.Orders), claim: claim}
			s := &system{outbox: outbox.Orders, broker: new(broker)}
			s.relay = must(order.NewRelay(outbox, s.broker, discard))
			backlog(t, s.outbox, 5000)
			s.run(t)
			time.Sleep(time.Minute)
			s.want(t, 5000, 0)
			s.stop()
		})
	}
}

// However much is left to do, and however slowly it is done, Run returns.
func TestRelayStopsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := slowOutbox{Orders: new(memory.Orders), mark: 3 * time.Second}
		s := &system{outbox: outbox.Orders, broker: new(broker)}
		s.relay = must(order.NewRelay(outbox, publisherFunc(func(ctx context.Context, events ...domain.Event) error {
			if err := sleep(ctx, time.Second); err != nil {
				return fmt.Errorf("publish: %w: %w", ports.ErrUnavailable, err)
			}
			return nil
		}), discard))
		s.run(t)
		s.add(t, 1, 8000)
		time.Sleep(1500 * time.Millisecond)
		began := time.Now()
		s.stop()
		if d := time.Since(began); d > 5*time.Second {
			t.Errorf("stopped after %v, want 5s at most", d)
		}
	})
}

// What a sweep has claimed and not tried is free again at once.
func TestRelayGivesBack(t *testing.T) {
	const events, batch = 3000, 256
	start := func(t *testing.T, second func(s *system) error) *system {
		outbox := new(memory.Orders)
		for n := range events {
			if err := outbox.Add(t.Context(), newOrder(t, n)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Minute) // all claims run out
		s := &system{outbox: outbox, broker: new(broker)}
		tries := 0
		s.relay = must(order.NewRelay(outbox, publisherFunc(func(ctx context.Context, events ...domain.Event) error {
			if tries++; tries == 2 {
				if err := second(s); err != nil {
					return err
				}
			}
			return s.broker.publish(ctx, events...)
		}), discard))
		var wg sync.WaitGroup
		ctx, stop := context.WithCancel(t.Context())
		s.stop = stop
		wg.Go(func() { s.relay.Run(ctx) })
		t.Cleanup(func() { stop(); wg.Wait() })
		synctest.Wait()
		return s
	}
	t.Run("when the relay stops", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := start(t, func(s *system) error { s.stop(); return nil })
			s.want(t, 2*batch, 0)
			free, err := s.outbox.Claim(t.Context(), events)
			if err != nil {
				t.Fatal(err)
			}
			var want []domain.EventID
			for n := 2 * batch; n < events; n++ {
				want = append(want, newOrder(t, n).Created().ID)
			}
			var got []domain.EventID
			for _, event := range free {
				got = append(got, event.ID)
			}
			slices.Sort(got) // they came back together
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("free events (-want +got):\n%s", diff)
			}
		})
	})
	t.Run("when the broker goes away", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := start(t, func(s *system) error {
				s.broker.set(ports.ErrUnavailable, false)
				return nil
			})
			time.Sleep(6 * time.Second) // while the second batch that it was away for is tried
			s.want(t, batch, 0)
			s.broker.set(nil, false)
			time.Sleep(3 * time.Second)
			s.want(t, events-batch, 0) // but the first
			time.Sleep(10 * time.Second)
			s.want(t, events, 0)
		})
	})
}

// A broker that can't take a whole batch in time gets smaller ones: what it
// has taken without saying so in time comes again, but not for ever.
func TestRelayToAVerySlowBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &slowBroker{each: 100 * time.Millisecond}
		s := &system{outbox: new(memory.Orders), broker: &b.broker}
		s.relay = must(order.NewRelay(s.outbox, b, discard))
		s.add(t, 1, 1000)
		s.run(t)
		time.Sleep(5 * time.Minute)
		events, repeated := s.broker.counts()
		if events != 1000 || repeated > 250 {
			t.Errorf("%d of 1000 events published, %d of them repeatedly; want all, and 250 at most", events, repeated)
		}
		s.stop()
		if n := waiting(t, s.outbox); n != 0 {
			t.Errorf("%d published events are still in the outbox", n)
		}
	})
}

// A few that are refused cost a slow broker's backlog little.
func TestRelayRefusedBySlowBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const events = 8000
		bad := make(map[domain.EventID]bool)
		for n := 1; n <= events; n += 2000 {
			bad[newOrder(t, n).Created().ID] = true
		}
		b := &slowBroker{broker: broker{refuses: bad}, each: time.Millisecond}
		outbox := new(memory.Orders)
		s := &system{outbox: outbox, broker: &b.broker, relay: must(order.NewRelay(outbox, b, discard))}
		for n := 1; n <= events; n++ {
			if err := outbox.Add(t.Context(), newOrder(t, n)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute) // all claims run out
		s.run(t)
		time.Sleep(20 * time.Second)
		if published, _ := s.broker.counts(); published != events-len(bad) {
			t.Errorf("%d of %d events were published within 20 s, which would take 8 s if none were refused", published, events-len(bad))
		}
		s.stop()
	})
}
