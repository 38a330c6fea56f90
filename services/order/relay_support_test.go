package order_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/order"
)

// broker is a publisher that counts calls and events. Tests make it fail, hang, slow
// down or refuse events.
type broker struct {
	perEvent time.Duration  // time that an event takes
	before   func(call int) // if not nil, runs before each call

	mu        sync.Mutex
	err       error // for every event
	hang      bool
	refuses   map[domain.EventID]bool
	refused   int // number of refusals
	published map[domain.EventID]int
	order     []domain.EventID
	calls     int
}

func (b *broker) Publish(ctx context.Context, events ...domain.Event) []error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	if b.before != nil {
		call := b.calls
		b.unlocked(func() { b.before(call) })
	}
	if b.hang {
		b.unlocked(func() { <-ctx.Done() })
		return slices.Repeat([]error{fmt.Errorf("publish: %w", ctx.Err())}, len(events))
	}
	errs := make([]error, len(events))
	for i, event := range events {
		var late error
		if b.perEvent > 0 {
			b.unlocked(func() { late = sleep(ctx, b.perEvent) })
		}
		switch {
		case late != nil: // it keeps the events so far, but the relay can't know
			return slices.Repeat([]error{fmt.Errorf("publish: %w: %w", ports.ErrUnavailable, late)}, len(events))
		case b.err != nil:
			errs[i] = b.err
		case b.refuses[event.ID]:
			b.refused++
			errs[i] = errors.New("message too large")
		default:
			if b.published == nil {
				b.published = make(map[domain.EventID]int)
			}
			b.published[event.ID]++
			b.order = append(b.order, event.ID)
		}
	}
	return errs
}

func (b *broker) unlocked(do func()) {
	b.mu.Unlock()
	defer b.mu.Lock()
	do()
}

func (b *broker) set(err error, hang bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err, b.hang = err, hang
}

// counts returns the number of published events, and of those published repeatedly.
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

// refusing returns a broker that refuses these orders' events.
func refusing(t testing.TB, orders ...int) *broker {
	b := &broker{refuses: make(map[domain.EventID]bool)}
	for _, n := range orders {
		b.refuses[eventID(t, n)] = true
	}
	return b
}

// outbox is an outbox whose methods call a test's hook first, and return its error.
type outbox struct {
	memory.Orders
	onClaim           func(ctx context.Context, limit int) error
	onMark, onRelease func(ctx context.Context) error

	mu    sync.Mutex
	marks int // calls of MarkPublished
}

func (o *outbox) Claim(ctx context.Context, limit int) ([]domain.Event, error) {
	if o.onClaim != nil {
		if err := o.onClaim(ctx, limit); err != nil {
			return nil, err
		}
	}
	return o.Orders.Claim(ctx, limit)
}

func (o *outbox) MarkPublished(ctx context.Context, ids ...domain.EventID) error {
	o.mu.Lock()
	o.marks++
	o.mu.Unlock()
	if o.onMark != nil {
		if err := o.onMark(ctx); err != nil {
			return err
		}
	}
	return o.Orders.MarkPublished(ctx, ids...)
}

func (o *outbox) Release(ctx context.Context, at time.Time, ids ...domain.EventID) error {
	if o.onRelease != nil {
		if err := o.onRelease(ctx); err != nil {
			return err
		}
	}
	return o.Orders.Release(ctx, at, ids...)
}

// hang waits for ctx's end.
func hang(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func newOrder(t testing.TB, n int) domain.Order {
	t.Helper()
	o, err := domain.NewOrder(domain.OrderID(fmt.Sprintf("00000000-0000-7000-8000-%012d", n)), "123", "Laptop", 1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func eventID(t testing.TB, n int) domain.EventID {
	t.Helper()
	return newOrder(t, n).Created().ID
}

// system is a relay with its outbox and its broker.
type system struct {
	outbox *outbox
	broker *broker
	relay  *order.Relay
	end    context.CancelFunc // ends Run's context
	stop   func()             // ends Run's context and waits for Run
}

func newSystem(outbox *outbox, b *broker, log *slog.Logger) *system {
	return &system{outbox: outbox, broker: b, relay: must(order.NewRelay(outbox, b, log))}
}

// start returns a system whose relay runs until the test ends.
func start(t *testing.T, outbox *outbox, b *broker) *system {
	t.Helper()
	s := newSystem(outbox, b, discard)
	s.run(t)
	return s
}

func (s *system) run(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	s.end, s.stop = cancel, func() { cancel(); wg.Wait() }
	wg.Go(func() {
		if err := s.relay.Run(ctx); err != nil {
			t.Errorf("relay: %v", err)
		}
	})
	t.Cleanup(s.stop)
}

// runStopped runs the relay with a context that has ended.
func (s *system) runStopped(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.relay.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

// addUnclaimed adds orders, a millisecond apart, and waits until the claims on their
// events have run out.
func addUnclaimed(t *testing.T, outbox *outbox, orders int) {
	t.Helper()
	for n := range orders {
		if err := outbox.Add(t.Context(), newOrder(t, n), domain.Origin{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	time.Sleep(time.Minute)
}

// add adds orders from first to last and hands their events to the relay.
func (s *system) add(t *testing.T, first, last int) {
	t.Helper()
	for n := first; n <= last; n++ {
		now, o := time.Now(), newOrder(t, n)
		if err := s.outbox.Add(t.Context(), o, domain.Origin{}); err != nil {
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

// wantLeft fails t unless the outbox keeps this number of events.
func (s *system) wantLeft(t *testing.T, want int) {
	t.Helper()
	time.Sleep(time.Hour) // all claims run out
	events, err := s.outbox.Orders.Claim(t.Context(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if len(events) != want {
		t.Errorf("%d events are left in the outbox, want %d", len(events), want)
	}
}
