package deadletters

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/retry"
	"example.com/orderflow/services/internal/wiring"
)

// Service is what is done with messages that were set aside: they move
// from the broker into the store, so that looking at them disturbs nothing,
// and stay there until somebody decides what becomes of them.
type Service struct {
	store   ports.DeadLetters
	queue   ports.DeadLetterQueue
	log     *slog.Logger
	retried retry.Store
}

// NewService returns the use cases of the dead letters in the store and in
// the broker's queue. Without either it returns an error; without a logger it
// uses slog.Default().
func NewService(store ports.DeadLetters, queue ports.DeadLetterQueue, log *slog.Logger) (*Service, error) {
	if err := wiring.Check("dead-letter service", wiring.Part{Name: "a store", Given: store}, wiring.Part{Name: "a queue", Given: queue}); err != nil {
		return nil, err
	}
	log = wiring.Logger(log)
	return &Service{
		store: store, queue: queue, log: log,
		retried: retry.Store{Waiting: "dead letters", Log: log},
	}, nil
}

// Run moves dead letters from the broker into the store until ctx ends. A
// process that dies between storing a letter and telling the broker so has it
// stored again, which changes nothing.
func (s *Service) Run(ctx context.Context) error {
	return s.queue.Drain(ctx, func(ctx context.Context, letter ports.DeadLetter) error {
		err := s.retried.UntilAvailable(ctx, func() error { return s.store.Put(ctx, letter) })
		if err != nil {
			return fmt.Errorf("keep dead letter %s: %w", letter.ID, err)
		}
		return nil
	})
}

// List returns a page of the dead letters. See [ports.DeadLetters].
func (s *Service) List(ctx context.Context, query ports.DeadLetterQuery) (ports.DeadLetterPage, error) {
	return s.store.List(ctx, query)
}

// Get returns a dead letter. See [ports.DeadLetters].
func (s *Service) Get(ctx context.Context, id string) (ports.DeadLetterRecord, error) {
	return s.store.Get(ctx, canonical(id))
}

// canonical returns the id as the store has it: an event's begins with its
// order's, which means the same in upper case.
func canonical(id string) string {
	const uuid = 36
	if len(id) > uuid && id[uuid] == '-' {
		if order, err := domain.ParseOrderID(id[:uuid]); err == nil {
			return string(order) + id[uuid:]
		}
	}
	return id
}

// Decision is what can be decided about a dead letter.
type Decision string

const (
	Replay  Decision = "replay"  // have its message handled once more
	Discard Decision = "discard" // have it forgotten, after ports.DeadLetterRetention
	Restore Decision = "restore" // have a discarded one wait again
)

// From returns the state in which a letter must be for the decision.
func (d Decision) From() ports.DeadLetterState {
	if d == Restore {
		return ports.Discarded
	}
	return ports.Waiting
}

func (d Decision) to() ports.DeadLetterState {
	switch d {
	case Replay:
		return ports.Replayed
	case Discard:
		return ports.Discarded
	}
	return ports.Waiting
}

// Selection says which letters a decision is about.
type Selection struct {
	IDs     []string
	OrderID domain.OrderID // those of the order
	Reason  string         // those whose reason contains the text
	All     bool
}

// IsDefinite reports whether exactly one of the fields is set.
func (s Selection) IsDefinite() bool {
	ways := 0
	for _, given := range []bool{len(s.IDs) > 0, s.OrderID != "", s.Reason != "", s.All} {
		if given {
			ways++
		}
	}
	return ways == 1
}

// Named returns the ids, each once.
func (s Selection) Named() []string {
	ids := make([]string, len(s.IDs))
	for i, id := range s.IDs {
		ids[i] = canonical(id)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// Query asks for the letters that the decision can be about, where no ids name
// them.
func (s Selection) Query(decision Decision) ports.DeadLetterQuery {
	return ports.DeadLetterQuery{State: decision.From(), OrderID: s.OrderID, Reason: s.Reason}
}

// longestSignature is how many characters of who decided are kept.
const longestSignature = 128

// signature returns who decided as it is kept: 1 to 128 visible characters.
func signature(by string) string {
	visible := strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, by)
	characters := []rune(strings.TrimSpace(visible))
	characters = characters[:min(len(characters), longestSignature)]
	return cmp.Or(strings.TrimSpace(string(characters)), "unknown")
}

// Past returns the decision as what was done: replayed, discarded, restored.
func (d Decision) Past() string { return strings.TrimSuffix(string(d), "e") + "ed" }

// ErrNotNoted: a letter's message was put back into the queue, but that could
// not be noted.
var ErrNotNoted = errors.New("its message was put back into the queue, but that could not be noted")

// Refusal says why a decision about a letter was not carried out: it is not in
// the state that the decision is about.
type Refusal struct {
	Decision Decision
	State    ports.DeadLetterState
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("it is %s, and only what is %s can be %s", r.State, r.Decision.From(), r.Decision.Past())
}

// Decide carries out the decision about the letters with these ids and returns
// one error for each, nil where it was carried out: a [*Refusal],
// [ports.ErrNotFound], [ports.ErrChanged] if somebody else was quicker, or the
// store's or the broker's. It keeps by as who decided: its first 128 visible
// characters.
//
// A replayed message keeps its event id, and begins again at its first attempt.
// If it fails again, its letter comes back with its earlier failures. A process
// that dies after replaying a letter and before noting so leaves it waiting:
// replayed again, the delivery log tells the repeat.
func (s *Service) Decide(ctx context.Context, decision Decision, by string, ids ...string) []error {
	by = signature(by)
	return each(ids, func(id string) error { return s.decide(ctx, decision, by, id) })
}

// Check returns for each of the letters why the decision can't be carried out;
// nil where it can.
func (s *Service) Check(ctx context.Context, decision Decision, ids ...string) []error {
	return each(ids, func(id string) error {
		_, err := s.open(ctx, decision, id)
		return err
	})
}

// atOnce is how many letters are in hand at the same time.
const atOnce = 16

func each(ids []string, do func(id string) error) []error {
	errs := make([]error, len(ids))
	slots := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i, id := range ids {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			errs[i] = do(id)
		})
	}
	all.Wait()
	return errs
}

// open returns the letter if the decision can be carried out.
func (s *Service) open(ctx context.Context, decision Decision, id string) (ports.DeadLetterRecord, error) {
	letter, err := s.Get(ctx, id)
	if err == nil && letter.State != decision.From() {
		err = &Refusal{decision, letter.State}
	}
	return letter, err
}

func (s *Service) decide(ctx context.Context, decision Decision, by, id string) error {
	letter, err := s.open(ctx, decision, id)
	if err != nil {
		return err
	}
	if decision == Replay {
		err = s.replay(ctx, letter, by)
	} else {
		err = s.store.Settle(ctx, letter, decision.to(), by)
	}
	if err == nil {
		s.log.InfoContext(ctx, "dead letter settled", "decision", string(decision), "id", letter.ID, "by", by)
	}
	return err
}

func (s *Service) replay(ctx context.Context, letter ports.DeadLetterRecord, by string) error {
	if err := s.queue.Replay(ctx, letter.ID, letter.Message); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx) // the message is out: though who asked may have gone, that is to be noted
	err := s.store.Settle(ctx, letter, ports.Replayed, by)
	if errors.Is(err, ports.ErrChanged) {
		err = s.checkReplayed(ctx, letter, err)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotNoted, err)
	}
	return nil
}

// checkReplayed returns nil if a letter that has changed while its message was
// replayed shows just that: it has failed again already, or was replayed by
// somebody else as well. Else it returns the error that it has changed.
func (s *Service) checkReplayed(ctx context.Context, before ports.DeadLetterRecord, changed error) error {
	now, err := s.store.Get(ctx, before.ID)
	switch {
	case err != nil:
		return err
	case now.State == ports.Replayed:
		return nil
	case now.State == ports.Waiting && !now.LastFailure().LastFailure.Equal(before.LastFailure().LastFailure):
		return nil
	}
	return changed
}
