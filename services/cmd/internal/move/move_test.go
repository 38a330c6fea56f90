package move_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"example.com/orderflow/adapters/sqlite"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/cmd/internal/move"
)

// mustBeEven runs the move and returns its report.
func mustBeEven(t *testing.T, source *sqlite.Store, target move.Target) move.Report {
	t.Helper()
	report, err := move.Run(t.Context(), source, target, move.Options{Name: "elsewhere"})
	must(t, err)
	if !report.IsEven() {
		for _, l := range report.Lines {
			t.Errorf("%+v", *l)
		}
		t.Fatalf("the account is not even; left: %v", report.Left)
	}
	return report
}

func diff(want, got content) string { return cmp.Diff(want, got, cmpopts.EquateEmpty()) }

func TestMove(t *testing.T) {
	onEachTarget(t, func(t *testing.T, url string) {
		sourceURL := fileURL(t)
		source := openFile(t, sourceURL)
		fill(t, source)
		target := openTarget(t, url)
		report := mustBeEven(t, source, target)
		want := contentOf(t, source)
		if diff := diff(want, read(t, target)); diff != "" {
			t.Errorf("target (-file +target):\n%s", diff)
		}
		if len(want.Letters) != 6 || report.SetAside != 2 {
			t.Errorf("the file has %d dead letters, %d messages were set aside; want 6 and 2", len(want.Letters), report.SetAside)
		}
		type counts struct{ InFile, Copied, Same int }
		got := make(map[string]counts)
		for _, l := range report.Lines {
			got[l.Kind] = counts{l.InFile, l.Copied, l.Same}
		}
		wantCounts := map[string]counts{
			"orders": {40, 40, 40}, "events to publish": {10, 0, 10}, "notifications": {150, 150, 150}, "dead letters": {6, 6, 6},
			"contacts": {5, 5, 5}, "channels": {3, 3, 3}, "pauses": {4, 4, 4}, "operators' actions": {4, 4, 4},
		}
		if diff := cmp.Diff(wantCounts, got); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}

		// A notification that waits has its event.
		waiting, err := target.Deliveries.ClaimHeld(t.Context(), domain.PauseKey{Channel: "webhook", Receiver: "a"}, 1000)
		must(t, err)
		for _, w := range waiting {
			id, _ := w.Notification.EventID.OrderID()
			if order, err := target.Orders.Get(t.Context(), id); err != nil || w.Event != order.Created() {
				t.Errorf("the event is %+v, error %v, want that of %+v", w.Event, err, order)
			}
		}
		if len(waiting) != handled {
			t.Errorf("%d notifications are held, want %d", len(waiting), handled)
		}

		// A second run finds nothing to do.
		for _, l := range mustBeEven(t, source, target).Lines {
			if l.Copied > 0 {
				t.Errorf("the second run has copied %d %s", l.Copied, l.Kind)
			}
		}

		must(t, source.Close(t.Context()))
		if _, err := sqlite.Open(t.Context(), sourceURL, sqlite.Options{}); err == nil || !strings.Contains(err.Error(), "its data was moved to elsewhere on ") {
			t.Errorf("opening the file again: error %v", err)
		}
	})
}

// stopping is a target that ends a context at a call.
type stopping struct {
	move.Target
	left atomic.Int64 // calls
	stop context.CancelFunc
}

func stopAt(call int, target move.Target, stop context.CancelFunc) move.Target {
	s := &stopping{Target: target, stop: stop}
	s.left.Store(int64(call))
	target.Orders, target.Deliveries = stoppingOrders{target.Orders, s}, stoppingDeliveries{target.Deliveries, s}
	target.DeadLetters, target.Contacts = stoppingLetters{target.DeadLetters, s}, stoppingContacts{target.Contacts, s}
	return target
}

func (s *stopping) count() {
	if s.left.Add(-1) == 0 {
		s.stop()
	}
}

type anyOrders interface {
	ports.OrderRepository
	ports.Outbox
	Waiting(ctx context.Context, ids ...domain.EventID) ([]domain.EventID, error)
}

type stoppingOrders struct {
	anyOrders
	*stopping
}

func (s stoppingOrders) Add(ctx context.Context, order domain.Order, origin domain.Origin) error {
	s.count()
	return s.anyOrders.Add(ctx, order, origin)
}

func (s stoppingOrders) MarkPublished(ctx context.Context, ids ...domain.EventID) error {
	s.count()
	return s.anyOrders.MarkPublished(ctx, ids...)
}

type anyDeliveries interface {
	ports.DeliveryLog
	ClaimWaiting(ctx context.Context, key domain.NotificationKey) (ports.DeliveryClaim, error)
}

type stoppingDeliveries struct {
	anyDeliveries
	*stopping
}

func (s stoppingDeliveries) Claim(ctx context.Context, key domain.NotificationKey) (ports.DeliveryClaim, error) {
	s.count()
	return s.anyDeliveries.Claim(ctx, key)
}

type anyLetters interface {
	ports.DeadLetters
	Import(ctx context.Context, before, record ports.DeadLetterRecord) error
}

type stoppingLetters struct {
	anyLetters
	*stopping
}

func (s stoppingLetters) Import(ctx context.Context, before, record ports.DeadLetterRecord) error {
	s.count()
	return s.anyLetters.Import(ctx, before, record)
}

type stoppingContacts struct {
	ports.Contacts
	*stopping
}

func (s stoppingContacts) Put(ctx context.Context, contacts ...ports.Contact) error {
	s.count()
	return s.Contacts.Put(ctx, contacts...)
}

// Wherever a move is interrupted, the next one completes it. Each is a process of its own.
func TestInterruptedMove(t *testing.T) {
	onEachTarget(t, func(t *testing.T, url string) {
		sourceURL := fileURL(t)
		source := openFile(t, sourceURL)
		fill(t, source)
		interrupted := 0
		for ; ; interrupted++ {
			target, closing, err := move.OpenTarget(t.Context(), url, quiet)
			must(t, err)
			ctx, stop := context.WithCancel(t.Context())
			_, err = move.Run(ctx, source, stopAt(interrupted+1, target, stop), move.Options{})
			stop()
			closing()
			must(t, source.Close(t.Context()))
			source = openFile(t, sourceURL)
			if err == nil {
				break
			}
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("stopped at call %d: error %v, want context.Canceled", interrupted+1, err)
			}
		}
		if interrupted < 5 {
			t.Errorf("only %d moves were interrupted", interrupted)
		}
		target := openTarget(t, url)
		mustBeEven(t, source, target)
		if diff := diff(contentOf(t, source), read(t, target)); diff != "" {
			t.Errorf("target (-file +target):\n%s", diff)
		}
	})
}

// A move that was interrupted lets services use the file. The next move brings the target
// up to date with what they have done.
func TestFileIsUsedBetweenTwoMoves(t *testing.T) {
	onEachTarget(t, func(t *testing.T, url string) {
		ctx := t.Context()
		source, target := openFile(t, fileURL(t)), openTarget(t, url)
		fill(t, source)
		mustBeEven(t, source, target)
		_, err := source.UndoMove(ctx)
		must(t, err)

		// Held notifications are sent, dead ones are tried again, and events are published.
		held, err := source.Deliveries().ClaimHeld(ctx, domain.PauseKey{Channel: "webhook", Receiver: "a"}, 5)
		must(t, err)
		for _, w := range held {
			n := w.Notification
			n.State, n.Reason, n.NextTry, n.HeldBy, n.At = domain.Sent, "", time.Time{}, domain.PauseKey{}, recently.Add(time.Minute)
			n.Attempts = append(n.Attempts, domain.Attempt{At: n.At, Outcome: domain.Accepted, Code: "250"})
			must(t, w.Claim.Record(ctx, n, w.Event))
		}
		for n := range 5 {
			again := notification(n, 3, domain.Sent)
			again.At = recently.Add(time.Minute)
			again.Attempts = []domain.Attempt{{At: again.At, Outcome: domain.Accepted, Code: "250"}}
			record(t, source.Deliveries(), again, domain.Event{})
		}
		waiting := order(orders - 1).Created().ID
		must(t, source.Orders().MarkPublished(ctx, waiting), source.Orders().Add(ctx, order(orders), domain.Origin{}))
		must(t, source.Contacts().Put(ctx, ports.Contact{UserID: "user 1", Language: "fr", UpdatedAt: recently.Add(time.Minute)}))
		read1, err := source.DeadLetters().Get(ctx, letter(0, 0).ID)
		must(t, err, source.DeadLetters().Put(ctx, letter(1, 9)))
		must(t, source.DeadLetters().Settle(ctx, read1, ports.Replayed, "bob"))
		pauses, err := source.ChannelStates().Pauses(ctx)
		must(t, err)
		changed := pauses[0]
		changed.Kind, changed.Since = ports.Draining, recently.Add(time.Minute)
		must(t, source.ChannelStates().Change(ctx, pauses[0], changed))
		must(t, source.OperatorActions().End(ctx, "action 0", ports.ActionEnd{EndedAt: recently.Add(time.Hour), Outcome: ports.ActionDone, Count: 7}))

		mustBeEven(t, source, target)
		if diff := diff(contentOf(t, source), read(t, target)); diff != "" {
			t.Errorf("target (-file +target):\n%s", diff)
		}
	})
}

// What has changed at the target since it was copied stays.
func TestNewerRecordsStay(t *testing.T) {
	onEachTarget(t, func(t *testing.T, url string) {
		ctx := t.Context()
		source, target := openFile(t, fileURL(t)), openTarget(t, url)
		fill(t, source)
		mustBeEven(t, source, target)

		held, err := target.Deliveries.ClaimHeld(ctx, domain.PauseKey{Channel: "webhook", Receiver: "a"}, 5)
		must(t, err)
		for _, w := range held {
			n := w.Notification
			n.State, n.Reason, n.NextTry, n.HeldBy, n.At = domain.Sent, "", time.Time{}, domain.PauseKey{}, recently.Add(time.Minute)
			must(t, w.Claim.Record(ctx, n, w.Event))
		}
		events, err := target.Orders.Claim(ctx, 3)
		must(t, err)
		for _, event := range events {
			must(t, target.Orders.MarkPublished(ctx, event.ID))
		}
		letter, err := target.DeadLetters.Get(ctx, letter(0, 0).ID)
		must(t, err)
		must(t, target.DeadLetters.Settle(ctx, letter, ports.Discarded, "bob"))
		must(t, target.Contacts.Put(ctx, ports.Contact{UserID: "user 1", Language: "fr", UpdatedAt: recently.Add(time.Minute)}))
		must(t, target.Actions.End(ctx, "action 0", ports.ActionEnd{EndedAt: recently.Add(time.Hour), Outcome: ports.ActionDone, Count: 7}))
		want := read(t, target)

		newer := make(map[string]int)
		for _, l := range mustBeEven(t, source, target).Lines {
			if l.Newer > 0 {
				newer[l.Kind] = l.Newer
			}
		}
		if diff := cmp.Diff(map[string]int{"notifications": 5, "events to publish": 3, "dead letters": 1, "contacts": 1, "operators' actions": 1}, newer); diff != "" {
			t.Errorf("newer (-want +got):\n%s", diff)
		}
		if diff := diff(want, read(t, target)); diff != "" {
			t.Errorf("target (-before +after):\n%s", diff)
		}
	})
}
