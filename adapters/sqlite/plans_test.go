package sqlite

import (
	"context"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/orderflow/adapters/internal/cursor"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// No statement reads more rows than its call returns or changes: each finds them by an
// index, or reads them in the order of an index and stops. Only an order's dead letters
// and its deliveries are sorted, because they are few.
func TestStatementsUseIndexes(t *testing.T) {
	s := openInside(t, filepath.Join(t.TempDir(), "orderflow.db"), Options{})
	callAll(t, s)
	callDeliveries(t, s)
	callQueues(t, s)
	ofOrder := []string{
		"SEARCH dead_letters USING INDEX sqlite_autoindex_dead_letters_1 (id>? AND id<?)",
		"SEARCH deliveries USING PRIMARY KEY (event_id>? AND event_id<?)",
	}
	for _, sql := range statementsOf(t, s) {
		plan := planOf(t, s, sql)
		for _, step := range plan {
			switch {
			case strings.HasPrefix(step, "SCAN owners"), step == "SCAN moved", step == "SCAN subscriptions", step == "SCAN CONSTANT ROW", // few
				slices.Contains(accountScans, step), strings.HasPrefix(step, "SCAN recent_"), strings.HasPrefix(step, "SCAN (subquery"):
			case strings.HasPrefix(step, "SCAN ") && !strings.Contains(sql, " ORDER BY "):
				t.Errorf("%s\nscans: %s", sql, step)
			case strings.Contains(step, "TEMP B-TREE") && !slices.Contains(ofOrder, plan[0]):
				t.Errorf("%s\nsorts: %s", sql, step)
			}
		}
	}
}

// accountScans are the scans of accounts: they read the counters, and what waits or is dead.
var accountScans = []string{
	"SCAN counters",
	"SCAN outbox",
	"SCAN deliveries USING COVERING INDEX deliveries_open",
	"SCAN dead_letters USING COVERING INDEX dead_letters_waiting",
	"SCAN dead_letter_queue",
}

// callAll calls every method that reads or writes orders, contacts, channel states or
// dead letters.
func callAll(t *testing.T, s *Store) {
	t.Helper()
	ctx := t.Context()
	ok := func(errs ...error) {
		t.Helper()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}

	orders := s.Orders()
	order := newOrder(t, 1)
	ok(orders.Add(ctx, order, domain.Origin{}))
	ok(errorOf(orders.Get(ctx, order.ID)), errorOf(orders.Count(ctx)))
	for _, user := range []string{"", order.UserID} {
		for _, query := range []ports.OrderQuery{{}, {CreatedFrom: epoch}, {CreatedTo: epoch}, {CreatedFrom: epoch, CreatedTo: epoch.Add(time.Hour)}} {
			query.UserID = user
			ok(errorOf(orders.List(ctx, query)))
			query.Cursor = cursor.Encode(cursor.Of(order), query)
			ok(errorOf(orders.List(ctx, query)))
		}
	}
	ok(orders.Release(ctx, epoch.AddDate(-1, 0, 0), order.Created().ID))
	ok(errorOf(orders.Claim(ctx, 10)))
	ok(orders.MarkPublished(ctx, order.Created().ID), errorOf(orders.Claim(ctx, 10)))

	contacts := s.Contacts()
	ok(errorOf(orders.Account(ctx)), errorOf(s.Deliveries().Account(ctx)), errorOf(s.DeadLetters().Account(ctx)))
	ok(errorOf(s.Consumer().Depth(ctx)), errorOf(s.DeadLetterQueue().Depth(ctx)))
	ok(contacts.Put(ctx, ports.Contact{UserID: "ann", UpdatedAt: epoch}, ports.Contact{UserID: "bob", UpdatedAt: epoch}))
	page, err := contacts.List(ctx, 1, "")
	ok(err, errorOf(contacts.List(ctx, 1, page.NextCursor)), errorOf(contacts.Get(ctx, "ann")), contacts.Delete(ctx, "ann"))

	states := s.ChannelStates()
	pause := ports.Pause{PauseKey: domain.PauseKey{Channel: "mail"}, Kind: ports.Manual, Since: epoch}
	changed := pause
	changed.Reason = "changed"
	ok(errorOf(states.Register(ctx, "mail")), states.Forget(ctx, "mail"))
	ok(states.Pause(ctx, pause), states.Change(ctx, pause, changed), errorOf(states.Pauses(ctx)))
	if err := states.End(ctx, pause); !errors.Is(err, ports.ErrChanged) {
		t.Fatal(err)
	}

	letters := s.DeadLetters()
	for n := range 4 {
		letter := newLetter(n)
		ok(letters.Put(ctx, letter))
		letter.Failure.LastFailure = epoch.Add(time.Hour)
		ok(letters.Put(ctx, letter))
	}
	record, err := letters.Get(ctx, newLetter(1).ID)
	ok(err, letters.Settle(ctx, record, ports.Discarded, "somebody"))
	after := cursor.EncodeLetter(cursor.OfLetter(record))
	for _, state := range []ports.DeadLetterState{"", ports.Waiting} {
		for _, orderID := range []domain.OrderID{"", order.ID} {
			for _, user := range []string{"", "ann"} {
				for _, subscription := range []*string{nil, new("mail")} {
					for _, group := range []string{"", "time out"} {
						for _, at := range []time.Time{{}, epoch} {
							query := ports.DeadLetterQuery{
								State: state, OrderID: orderID, UserID: user, Subscription: subscription, Group: group, EventType: group, From: at, To: at,
							}
							ok(errorOf(letters.List(ctx, query)), errorOf(letters.Groups(ctx, query)))
							query.Cursor = after
							ok(errorOf(letters.List(ctx, query)))
						}
					}
				}
			}
		}
	}
	ok(errorOf(letters.Groups(ctx, ports.DeadLetterQuery{Reason: "reason"})))
	ok(errorOf(letters.Forget(ctx, "ann")))
	spoil(t, s, "UPDATE dead_letters SET settled_at = 0 WHERE settled_at IS NOT NULL")
	ok(letters.sweep(ctx))

	actions := s.OperatorActions()
	action := ports.OperatorAction{ID: "1", At: time.Now()}
	ok(actions.Begin(ctx, action), actions.End(ctx, "1", ports.ActionEnd{EndedAt: time.Now(), Outcome: ports.ActionDone}))
	for _, query := range []ports.OperatorActionQuery{{}, {Action: "replay"}, {By: "ann"}, {Action: "replay", By: "ann"}, {From: epoch, To: epoch}, {By: "ann", From: epoch}} {
		ok(errorOf(actions.List(ctx, query)))
		query.Cursor = cursor.EncodeAction(cursor.OfAction(action))
		ok(errorOf(actions.List(ctx, query)))
	}
	spoil(t, s, "UPDATE operator_actions SET at = 0 WHERE id = '1'")
	ok(actions.sweep(ctx))
}

func errorOf[T any](_ T, err error) error { return err }

// statementsOf returns the statements that the store has run.
func statementsOf(t *testing.T, s *Store) []string {
	t.Helper()
	all := map[string]bool{}
	collect := func(c *connection) {
		for sql := range c.statements {
			all[sql] = true
		}
	}
	err := s.write(t.Context(), fleeting, func(tx *tx) error { collect(tx.connection); return nil })
	if err != nil {
		t.Fatal(err)
	}
	for range readerCount {
		c := <-s.readers
		defer func() { s.readers <- c }()
		collect(c)
	}
	return slices.Sorted(maps.Keys(all))
}

func planOf(t *testing.T, s *Store, sql string) (steps []string) {
	t.Helper()
	c, err := s.file.connect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	const detail = 3
	st, _, err := c.conn.Prepare("EXPLAIN QUERY PLAN " + sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	for st.Step() {
		steps = append(steps, st.ColumnText(detail))
	}
	return steps
}
