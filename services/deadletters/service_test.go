package deadletters_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/mock/gomock"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/mocks"
	"example.com/orderflow/services/deadletters"
)

func newEvent(t *testing.T) domain.Event {
	t.Helper()
	order, err := domain.NewOrder(orderID, "123", "Laptop", 1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return order.Created()
}

// fixture is a running service with a broker and a consumer. The consumer fails
// permanently with the reason failure, unless that is empty.
type fixture struct {
	service *deadletters.Service
	store   *memory.DeadLetters
	broker  *memory.Broker

	mu      sync.Mutex
	failure string
	handled []ports.Delivery
}

// newFixture starts the consumer and the service, which run until the test ends.
// Call it in a bubble of synctest.
func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{store: new(memory.DeadLetters), broker: &memory.Broker{Logger: discard}, failure: "no such address"}
	f.service = newService(t, f.store, f.broker.DeadLetterQueue(), discard)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := f.broker.Consumer().Consume(ctx, f.handle); err != nil {
			t.Error(err)
		}
	})
	wg.Go(func() {
		if err := f.service.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return f
}

func (f *fixture) handle(_ context.Context, d ports.Delivery) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.handled = append(f.handled, d)
	if f.failure != "" {
		return ports.Permanent(errors.New(f.failure))
	}
	return nil
}

func (f *fixture) fail(reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failure = reason
}

func (f *fixture) publish(t *testing.T, events ...domain.Event) {
	t.Helper()
	if err := errors.Join(f.broker.Publisher().Publish(t.Context(), events...)...); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

// decide carries out the decision and waits until all goroutines are idle.
func (f *fixture) decide(t *testing.T, action deadletters.Action, ids ...string) []error {
	t.Helper()
	time.Sleep(time.Second) // so that no two failures have the same LastFailure
	errs := f.service.Decide(t.Context(), deadletters.Decision{Action: action, By: "me"}, ids...)
	synctest.Wait()
	return errs
}

func (f *fixture) mustDecide(t *testing.T, action deadletters.Action, id string) {
	t.Helper()
	if errs := f.decide(t, action, id); errs[0] != nil {
		t.Fatalf("%s %s: %v", action, id, errs[0])
	}
}

// check fails t unless exactly these dead letters are in the state, with these
// numbers of failures.
func (f *fixture) check(t *testing.T, state ports.DeadLetterState, want map[string]int) {
	t.Helper()
	page, err := f.service.List(t.Context(), ports.DeadLetterQuery{State: state, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, letter := range page.Records {
		got[letter.ID] = len(letter.Failures)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s dead letters with their numbers of failures (-want +got):\n%s", state, diff)
	}
}

func TestRunStoresDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, event := newFixture(t), newEvent(t)
		f.publish(t, event)
		if err := f.broker.Inject(t.Context(), []byte("hello")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if left := f.broker.DeadLetters(); len(left) > 0 {
			t.Errorf("the broker still has %v", left)
		}
		page, err := f.service.List(t.Context(), ports.DeadLetterQuery{State: ports.Waiting, Limit: 100})
		if err != nil || len(page.Records) != 2 {
			t.Fatalf("got %v, %v, want 2 records", page.Records, err)
		}
		letter, err := f.service.Get(t.Context(), string(event.ID))
		if err != nil {
			t.Fatal(err)
		}
		if failure := letter.Failures[0]; failure.Reason != "no such address" || failure.Attempts != 1 {
			t.Errorf("failure %+v", failure)
		}
	})
}

func TestDiscardAndRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, event := newFixture(t), newEvent(t)
		id := string(event.ID)
		f.publish(t, event)

		f.mustDecide(t, deadletters.Discard, id)
		f.check(t, ports.Waiting, map[string]int{})
		f.check(t, ports.Discarded, map[string]int{id: 1})

		time.Sleep(ports.DeadLetterRetention - time.Hour)
		f.mustDecide(t, deadletters.Restore, id)
		f.check(t, ports.Waiting, map[string]int{id: 1})

		f.mustDecide(t, deadletters.Discard, id)
		time.Sleep(ports.DeadLetterRetention + time.Hour)
		if errs := f.decide(t, deadletters.Restore, id); !errors.Is(errs[0], ports.ErrNotFound) {
			t.Errorf("restore after the retention: got %v, want %v", errs[0], ports.ErrNotFound)
		}
		if len(f.handled) != 1 {
			t.Errorf("the consumer got the event %d times, want once", len(f.handled))
		}
	})
}

// Decide returns an error for each dead letter. A dry run changes nothing.
func TestDecideRefusesWrongStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, event := newFixture(t), newEvent(t)
		id := string(event.ID)
		f.publish(t, event)

		check := func(errs []error, want ...string) {
			t.Helper()
			var got []string
			for _, err := range errs {
				got = append(got, fmt.Sprint(err))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		}
		const unknown = "get dead letter x: not found"
		check(f.service.Decide(t.Context(), deadletters.Decision{Action: deadletters.Replay, DryRun: true}, id, "x"), "<nil>", unknown)
		check(f.service.Decide(t.Context(), deadletters.Decision{Action: deadletters.Restore, DryRun: true}, id), "wrong state: it is waiting; only a discarded dead letter can be restored")
		f.check(t, ports.Waiting, map[string]int{id: 1})
		check(f.decide(t, deadletters.Discard, id, "x"), "<nil>", unknown)
		check(f.decide(t, deadletters.Discard, id), "wrong state: it is discarded; only a waiting dead letter can be discarded")
		check(f.decide(t, deadletters.Replay, id), "wrong state: it is discarded; only a waiting dead letter can be replayed")
	})
}

// Run waits for an unavailable store, and logs its outage once.
func TestRunWhileStoreIsUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		control := gomock.NewController(t)
		store, queue := mocks.NewMockDeadLetters(control), mocks.NewMockDeadLetterQueue(control)
		var log bytes.Buffer
		service := newService(t, store, queue, slog.New(slog.NewTextHandler(&log, nil)))
		unavailable := fmt.Errorf("put: %w", ports.ErrUnavailable)
		gomock.InOrder(
			store.EXPECT().Put(gomock.Any(), gomock.Any()).Return(unavailable).Times(5),
			store.EXPECT().Put(gomock.Any(), gomock.Any()).Return(nil),
			store.EXPECT().Put(gomock.Any(), gomock.Any()).Return(ports.Permanent(errors.New("too large"))), // Run does not retry it
		)
		queue.EXPECT().Drain(gomock.Any(), gomock.Any()).DoAndReturn(func(ctx context.Context, keep func(context.Context, ports.DeadLetter) error) error {
			if err := keep(ctx, ports.DeadLetter{ID: "x"}); err != nil {
				t.Errorf("keep x: %v", err)
			}
			if err := keep(ctx, ports.DeadLetter{ID: "y"}); err == nil || !strings.Contains(err.Error(), "y: too large") {
				t.Errorf("got %v, want the store's error", err)
			}
			return errors.New("login refused")
		})
		if err := service.Run(t.Context()); err == nil || err.Error() != "login refused" {
			t.Errorf("got %v, want the queue's error", err)
		}
		if got := log.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "dead letters wait for it") || !strings.Contains(got, "dead letters go on") {
			t.Errorf("logged:\n%s", got)
		}
	})
}
