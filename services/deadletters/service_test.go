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

// office is a broker whose events fail for good as long as it is told so, with
// the dead letters that come of it.
type office struct {
	letters *deadletters.Service
	store   *memory.DeadLetters
	broker  *memory.Broker

	mu      sync.Mutex
	failure string
	handled []ports.Delivery
}

// newOffice runs what moves dead letters until the test ends; it is to be
// called in a bubble of its own.
func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{store: new(memory.DeadLetters), broker: &memory.Broker{Logger: discard}, failure: "no such address"}
	o.letters = newService(t, o.store, o.broker.DeadLetterQueue(), discard)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := o.broker.Consumer().Consume(ctx, o.handle); err != nil {
			t.Error(err)
		}
	})
	wg.Go(func() {
		if err := o.letters.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return o
}

func (o *office) handle(_ context.Context, d ports.Delivery) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.handled = append(o.handled, d)
	if o.failure != "" {
		return ports.Permanent(errors.New(o.failure))
	}
	return nil
}

func (o *office) fail(reason string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failure = reason
}

func (o *office) publish(t *testing.T, events ...domain.Event) {
	t.Helper()
	if err := errors.Join(o.broker.Publisher().Publish(t.Context(), events...)...); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

// decide carries out the decision and waits for what comes of it.
func (o *office) decide(t *testing.T, decision deadletters.Decision, ids ...string) []error {
	t.Helper()
	time.Sleep(time.Second) // no two failures at the same moment
	errs := o.letters.Decide(t.Context(), decision, "me", ids...)
	synctest.Wait()
	return errs
}

// check fails t unless just these letters are in the state, with so many
// failures each.
func (o *office) check(t *testing.T, state ports.DeadLetterState, want map[string]int) {
	t.Helper()
	page, err := o.letters.List(t.Context(), ports.DeadLetterQuery{State: state, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, letter := range page.Records {
		got[letter.ID] = len(letter.Failures)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("letters that are %s, and their failures (-want +got):\n%s", state, diff)
	}
}

func TestDeadLettersMoveIntoTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, event := newOffice(t), newEvent(t)
		o.publish(t, event)
		if err := o.broker.Inject(t.Context(), []byte("hello")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if left := o.broker.DeadLetters(); len(left) > 0 {
			t.Errorf("left at the broker: %v", left)
		}
		page, err := o.letters.List(t.Context(), ports.DeadLetterQuery{State: ports.Waiting, Limit: 100})
		if err != nil || len(page.Records) != 2 {
			t.Fatalf("got %v, %v, want both", page.Records, err)
		}
		letter, err := o.letters.Get(t.Context(), string(event.ID))
		if err != nil {
			t.Fatal(err)
		}
		if f := letter.Failures[0]; f.Reason != "no such address" || f.Attempts != 1 {
			t.Errorf("failure %+v", f)
		}
	})
}

func TestReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, event := newOffice(t), newEvent(t)
		id := string(event.ID)
		o.publish(t, event)

		o.fail("still no such address")
		if errs := o.decide(t, deadletters.Replay, id); errs[0] != nil {
			t.Fatal(errs[0])
		}
		o.check(t, ports.Waiting, map[string]int{id: 2}) // it has come back, with its history
		o.check(t, ports.Replayed, map[string]int{})

		o.fail("")
		if errs := o.decide(t, deadletters.Replay, id); errs[0] != nil {
			t.Fatal(errs[0])
		}
		o.check(t, ports.Waiting, map[string]int{})
		o.check(t, ports.Replayed, map[string]int{id: 2})

		want := ports.Delivery{Event: event, Attempt: 1}
		if diff := cmp.Diff([]ports.Delivery{want, want, want}, o.handled); diff != "" {
			t.Errorf("handed over (-want +got):\n%s", diff)
		}
	})
}

func TestDiscardAndRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, event := newOffice(t), newEvent(t)
		id := string(event.ID)
		o.publish(t, event)

		if errs := o.decide(t, deadletters.Discard, id); errs[0] != nil {
			t.Fatal(errs[0])
		}
		o.check(t, ports.Waiting, map[string]int{})
		o.check(t, ports.Discarded, map[string]int{id: 1})

		time.Sleep(ports.DeadLetterRetention - time.Hour)
		if errs := o.decide(t, deadletters.Restore, id); errs[0] != nil {
			t.Fatal(errs[0])
		}
		o.check(t, ports.Waiting, map[string]int{id: 1})

		if errs := o.decide(t, deadletters.Discard, id); errs[0] != nil {
			t.Fatal(errs[0])
		}
		time.Sleep(ports.DeadLetterRetention + time.Hour)
		if errs := o.decide(t, deadletters.Restore, id); !errors.Is(errs[0], ports.ErrNotFound) {
			t.Errorf("after the retention: %v, want %v", errs[0], ports.ErrNotFound)
		}
		if len(o.handled) != 1 {
			t.Errorf("handed over %d times, want once", len(o.handled))
		}
	})
}

// A decision is refused for a letter that it is not about, one by one, and to
// check it changes nothing.
func TestDecisionsAreAboutAState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, event := newOffice(t), newEvent(t)
		id := string(event.ID)
		o.publish(t, event)

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
		check(o.letters.Check(t.Context(), deadletters.Replay, id, "x"), "<nil>", unknown)
		check(o.letters.Check(t.Context(), deadletters.Restore, id), "it is waiting; only a discarded dead letter can be restored")
		o.check(t, ports.Waiting, map[string]int{id: 1})
		check(o.decide(t, deadletters.Discard, id, "x"), "<nil>", unknown)
		check(o.decide(t, deadletters.Discard, id), "it is discarded; only a waiting dead letter can be discarded")
		check(o.decide(t, deadletters.Replay, id), "it is discarded; only a waiting dead letter can be replayed")
	})
}

// What the broker does not take stays as it was.
func TestReplayWithoutBroker(t *testing.T) {
	store := new(memory.DeadLetters)
	queue := mocks.NewMockDeadLetterQueue(gomock.NewController(t))
	letter := ports.DeadLetter{ID: "x", Failure: ports.Failure{Reason: "r", LastFailure: time.Now()}}
	if err := store.Put(t.Context(), letter); err != nil {
		t.Fatal(err)
	}
	queue.EXPECT().Replay(gomock.Any(), "x", ports.Message{}).Return(ports.ErrUnavailable)
	errs := newService(t, store, queue, discard).Decide(t.Context(), deadletters.Replay, "me", "x")
	if !errors.Is(errs[0], ports.ErrUnavailable) {
		t.Errorf("got %v, want %v", errs[0], ports.ErrUnavailable)
	}
	if got, err := store.Get(t.Context(), "x"); err != nil || got.State != ports.Waiting {
		t.Errorf("got %v, %v, want it to wait", got.State, err)
	}
}

// Whether a letter that changed while it was replayed may count as replayed.
func TestReplayOfWhatChanges(t *testing.T) {
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	letter := func(state ports.DeadLetterState, failed time.Time) ports.DeadLetterRecord {
		return ports.DeadLetterRecord{ID: "x", State: state, Failures: []ports.Failure{{LastFailure: failed}}}
	}
	tests := []struct {
		name string
		now  ports.DeadLetterRecord
		want error
	}{
		{"it has failed again", letter(ports.Waiting, at.Add(time.Second)), nil},
		{"somebody else has replayed it", letter(ports.Replayed, at), nil},
		{"somebody else has discarded it", letter(ports.Discarded, at), ports.ErrChanged},
		{"somebody else has discarded and restored it", letter(ports.Waiting, at), ports.ErrChanged},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			control := gomock.NewController(t)
			store, queue := mocks.NewMockDeadLetters(control), mocks.NewMockDeadLetterQueue(control)
			gomock.InOrder(
				store.EXPECT().Get(gomock.Any(), "x").Return(letter(ports.Waiting, at), nil),
				queue.EXPECT().Replay(gomock.Any(), "x", ports.Message{}).Return(nil),
				store.EXPECT().Settle(gomock.Any(), gomock.Any(), ports.Replayed, "me").Return(ports.ErrChanged),
				store.EXPECT().Get(gomock.Any(), "x").Return(tt.now, nil),
			)
			errs := newService(t, store, queue, discard).Decide(t.Context(), deadletters.Replay, "me", "x")
			if !errors.Is(errs[0], tt.want) {
				t.Errorf("got %v, want %v", errs[0], tt.want)
			}
		})
	}
}

// What is replayed is noted, although who asked for it has gone.
func TestReplayOutlivesWhoAsked(t *testing.T) {
	store := new(memory.DeadLetters)
	letter := ports.DeadLetter{ID: "x", Failure: ports.Failure{LastFailure: time.Now()}}
	if err := store.Put(t.Context(), letter); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	queue := mocks.NewMockDeadLetterQueue(gomock.NewController(t))
	queue.EXPECT().Replay(gomock.Any(), "x", ports.Message{}).Do(func(context.Context, string, ports.Message) { cancel() })
	if errs := newService(t, store, queue, discard).Decide(ctx, deadletters.Replay, "me", "x"); errs[0] != nil {
		t.Error(errs[0])
	}
	if got, err := store.Get(t.Context(), "x"); err != nil || got.State != ports.Replayed {
		t.Errorf("got %v, %v, want it to be replayed", got.State, err)
	}
}

// While the store is away, letters wait for it, and that is logged once.
func TestDeadLettersWithoutStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		control := gomock.NewController(t)
		store, queue := mocks.NewMockDeadLetters(control), mocks.NewMockDeadLetterQueue(control)
		var log bytes.Buffer
		letters := newService(t, store, queue, slog.New(slog.NewTextHandler(&log, nil)))
		away := fmt.Errorf("put: %w", ports.ErrUnavailable)
		gomock.InOrder(
			store.EXPECT().Put(gomock.Any(), gomock.Any()).Return(away).Times(5),
			store.EXPECT().Put(gomock.Any(), gomock.Any()).Return(nil),
			store.EXPECT().Put(gomock.Any(), gomock.Any()).Return(ports.Permanent(errors.New("too large"))), // is not tried again here
		)
		queue.EXPECT().Drain(gomock.Any(), gomock.Any()).DoAndReturn(func(ctx context.Context, keep func(context.Context, ports.DeadLetter) error) error {
			if err := keep(ctx, ports.DeadLetter{ID: "x"}); err != nil {
				t.Errorf("kept after all: %v", err)
			}
			if err := keep(ctx, ports.DeadLetter{ID: "y"}); err == nil || !strings.Contains(err.Error(), "y: too large") {
				t.Errorf("got %v, want the store's error", err)
			}
			return errors.New("login refused")
		})
		if err := letters.Run(t.Context()); err == nil || err.Error() != "login refused" {
			t.Errorf("got %v, want the queue's error", err)
		}
		if got := log.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "dead letters wait for it") || !strings.Contains(got, "dead letters go on") {
			t.Errorf("logged:\n%s", got)
		}
	})
}
