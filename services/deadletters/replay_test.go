package deadletters_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/mock/gomock"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/mocks"
	"example.com/orderflow/services/deadletters"
)

func TestReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, event := newFixture(t), newEvent(t)
		id := string(event.ID)
		f.publish(t, event)

		f.fail("still no such address")
		f.mustDecide(t, deadletters.Replay, id)
		f.check(t, ports.Waiting, map[string]int{id: 2}) // it failed again, and kept its first failure
		f.check(t, ports.Replayed, map[string]int{})

		f.fail("")
		f.mustDecide(t, deadletters.Replay, id)
		f.check(t, ports.Waiting, map[string]int{})
		f.check(t, ports.Replayed, map[string]int{id: 2})

		want := ports.Delivery{Event: event, Attempt: 1}
		if diff := cmp.Diff([]ports.Delivery{want, want, want}, f.handled); diff != "" {
			t.Errorf("deliveries (-want +got):\n%s", diff)
		}
	})
}

func TestReplayWhileBrokerIsUnavailable(t *testing.T) {
	store := new(memory.DeadLetters)
	queue := mocks.NewMockDeadLetterQueue(gomock.NewController(t))
	letter := ports.DeadLetter{ID: "x", Failure: ports.Failure{Reason: "r", LastFailure: time.Now()}}
	if err := store.Put(t.Context(), letter); err != nil {
		t.Fatal(err)
	}
	queue.EXPECT().Replay(gomock.Any(), ports.DeadLetter{ID: "x"}).Return(ports.ErrUnavailable)
	errs := newService(t, store, queue, discard).Decide(t.Context(), deadletters.Decision{Action: deadletters.Replay, By: "me"}, "x")
	if !errors.Is(errs[0], ports.ErrUnavailable) {
		t.Errorf("got %v, want %v", errs[0], ports.ErrUnavailable)
	}
	if got, err := store.Get(t.Context(), "x"); err != nil || got.State != ports.Waiting {
		t.Errorf("got %v, %v, want the state waiting", got.State, err)
	}
}

// The dead letter changes after its replay and before the record of the replay.
func TestReplayOfChangedDeadLetter(t *testing.T) {
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	letter := func(state ports.DeadLetterState, failed time.Time) ports.DeadLetterRecord {
		return ports.DeadLetterRecord{ID: "x", State: state, Failures: []ports.Failure{{LastFailure: failed}}}
	}
	tests := []struct {
		name string
		now  ports.DeadLetterRecord
		want error
	}{
		{"failed again", letter(ports.Waiting, at.Add(time.Second)), nil},
		{"replayed by another operator", letter(ports.Replayed, at), nil},
		{"discarded by another operator", letter(ports.Discarded, at), ports.ErrChanged},
		{"discarded and restored by another operator", letter(ports.Waiting, at), ports.ErrChanged},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			control := gomock.NewController(t)
			store, queue := mocks.NewMockDeadLetters(control), mocks.NewMockDeadLetterQueue(control)
			gomock.InOrder(
				store.EXPECT().Get(gomock.Any(), "x").Return(letter(ports.Waiting, at), nil),
				queue.EXPECT().Replay(gomock.Any(), ports.DeadLetter{ID: "x"}).Return(nil),
				store.EXPECT().Settle(gomock.Any(), gomock.Any(), ports.Replayed, "me").Return(ports.ErrChanged),
				store.EXPECT().Get(gomock.Any(), "x").Return(tt.now, nil),
			)
			errs := newService(t, store, queue, discard).Decide(t.Context(), deadletters.Decision{Action: deadletters.Replay, By: "me"}, "x")
			if !errors.Is(errs[0], tt.want) {
				t.Errorf("got %v, want %v", errs[0], tt.want)
			}
		})
	}
}

// The caller's context ends after the replay and before the record of it.
func TestReplayIsRecordedAfterCancellation(t *testing.T) {
	store := new(memory.DeadLetters)
	letter := ports.DeadLetter{ID: "x", Failure: ports.Failure{LastFailure: time.Now()}}
	if err := store.Put(t.Context(), letter); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	queue := mocks.NewMockDeadLetterQueue(gomock.NewController(t))
	queue.EXPECT().Replay(gomock.Any(), ports.DeadLetter{ID: "x"}).Do(func(context.Context, ports.DeadLetter) { cancel() })
	if errs := newService(t, store, queue, discard).Decide(ctx, deadletters.Decision{Action: deadletters.Replay, By: "me"}, "x"); errs[0] != nil {
		t.Error(errs[0])
	}
	if got, err := store.Get(t.Context(), "x"); err != nil || got.State != ports.Replayed {
		t.Errorf("got %v, %v, want the state replayed", got.State, err)
	}
}
