// Package deadletters is for operators: it stores the messages that could not be
// handled, lists them, and carries out the operators' decisions.
//
// [Service] holds the use cases, [Handler] is their HTTP interface. A program
// gives the service a store and a broker's queue, and runs both:
//
//	service, err := deadletters.NewService(store, queue, actions, log)
//	handler, err := deadletters.NewHandler(service, log)
//	go http.ListenAndServe("localhost:9081", handler)
//	err = service.Run(ctx)
package deadletters

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/actions"
	"example.com/orderflow/services/internal/retry"
	"example.com/orderflow/services/internal/wiring"
)

// Service moves dead letters from the broker into the store, where they stay until
// an operator decides about them.
type Service struct {
	store   ports.DeadLetters
	queue   ports.DeadLetterQueue
	journal *actions.Journal
	log     *slog.Logger
	retry   retry.Store
	jobs    jobs
}

// NewService returns an error if the store, the queue or the store of the operators' actions
// is nil. If log is nil, the service uses slog.Default().
func NewService(store ports.DeadLetters, queue ports.DeadLetterQueue, acts ports.OperatorActions, log *slog.Logger) (*Service, error) {
	if err := wiring.Check("dead-letter service", wiring.Part{Name: "a store", Given: store}, wiring.Part{Name: "a queue", Given: queue}); err != nil {
		return nil, err
	}
	journal, err := actions.NewJournal(acts, log)
	if err != nil {
		return nil, fmt.Errorf("dead-letter service: %w", err)
	}
	log = wiring.Logger(log)
	return &Service{store: store, queue: queue, journal: journal, log: log, retry: retry.Store{Waiting: "dead letters", Log: log}}, nil
}

// Run moves dead letters from the broker into the store until ctx ends. After a
// crash it may store one again, which changes nothing. While it runs, jobs do, too.
func (s *Service) Run(ctx context.Context) error {
	defer s.jobs.open(ctx)()
	return s.queue.Drain(ctx, func(ctx context.Context, letter ports.DeadLetter) error {
		err := s.retry.UntilAvailable(ctx, func() error { return s.store.Put(ctx, letter) })
		if err != nil {
			return fmt.Errorf("store dead letter %s: %w", letter.ID, err)
		}
		return nil
	})
}

// List returns a page of dead letters. See [ports.DeadLetters].
func (s *Service) List(ctx context.Context, query ports.DeadLetterQuery) (ports.DeadLetterPage, error) {
	return s.store.List(ctx, query)
}

// Groups counts the dead letters that match the query. See [ports.DeadLetters].
func (s *Service) Groups(ctx context.Context, query ports.DeadLetterQuery) (ports.DeadLetterGroups, error) {
	return s.store.Groups(ctx, query)
}

// Get returns a dead letter. See [ports.DeadLetters].
func (s *Service) Get(ctx context.Context, id string) (ports.DeadLetterRecord, error) {
	return s.store.Get(ctx, canonical(id))
}

// canonical returns the id in the store's form. An event's id begins with its
// order's id, which callers may write in upper case.
func canonical(id string) string {
	const uuid = 36
	if len(id) > uuid && id[uuid] == '-' {
		if order, err := domain.ParseOrderID(id[:uuid]); err == nil {
			return string(order) + id[uuid:]
		}
	}
	return id
}

// ErrNotRecorded is returned when a message was put back into the queue, but the
// store did not record that.
var ErrNotRecorded = errors.New("its message was put back into the queue, but the store did not record that")

// ErrWrongState is returned when a dead letter is not in the state from which the
// action starts.
var ErrWrongState = errors.New("wrong state")

func (s *Service) decide(ctx context.Context, decision Decision, id string) error {
	action, by := decision.Action, decision.By
	record, err := s.Get(ctx, id)
	switch {
	case err != nil:
		return err
	case record.State != action.From():
		return fmt.Errorf("%w: it is %s; only a %s dead letter can be %s", ErrWrongState, record.State, action.From(), action.Past())
	case decision.DryRun:
		return nil
	case action == Replay:
		err = s.replay(ctx, record, by)
	default:
		err = s.store.Settle(ctx, record, transitions[action].to, by)
	}
	if err == nil {
		s.log.InfoContext(ctx, "dead letter settled", "decision", string(action), "id", record.ID, "by", by)
	}
	return err
}

func (s *Service) replay(ctx context.Context, record ports.DeadLetterRecord, by string) error {
	if err := s.queue.Replay(ctx, ports.DeadLetter{ID: record.ID, Subscription: record.Subscription, Message: record.Message}); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx) // record the replay even if the caller has gone
	err := s.store.Settle(ctx, record, ports.Replayed, by)
	if errors.Is(err, ports.ErrChanged) {
		err = s.checkReplayed(ctx, record, err)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotRecorded, err)
	}
	return nil
}

// checkReplayed returns changed, unless the change shows that the message was
// replayed: it has failed again, or another operator has replayed it, too.
func (s *Service) checkReplayed(ctx context.Context, before ports.DeadLetterRecord, changed error) error {
	now, err := s.store.Get(ctx, before.ID)
	if err != nil {
		return err
	}
	failedAgain := now.State == ports.Waiting && !now.LatestFailure().LastFailure.Equal(before.LatestFailure().LastFailure)
	if now.State == ports.Replayed || failedAgain {
		return nil
	}
	return changed
}
