package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// newNotification returns the nth order's notification in this state. If it waits, it is
// due.
func newNotification(t testing.TB, state domain.NotificationState, n int) (domain.Notification, domain.Event) {
	event := newOrder(t, n).Created()
	of := domain.Notification{
		EventID: event.ID, OrderID: event.Order.ID, UserID: "ann", Channel: "mail", State: state, At: epoch.Add(time.Duration(n) * time.Millisecond),
		Reason: "reason", Attempt: 1, Attempts: []domain.Attempt{{At: epoch, Outcome: domain.Refused, Code: "500", Answer: "no"}},
	}
	if state.Waits() {
		of.NextTry = epoch.AddDate(-1, 0, 0).Add(time.Duration(n) * time.Millisecond)
	}
	if state == domain.Held {
		of.HeldBy = domain.PauseKey{Channel: "mail", Receiver: "receiver"}
	}
	return of, event
}

func recordNew(t testing.TB, s *Store, state domain.NotificationState, n int) domain.Notification {
	t.Helper()
	of, event := newNotification(t, state, n)
	claim, err := s.Deliveries().Claim(t.Context(), of.Key())
	if err == nil {
		err = claim.Record(t.Context(), of, event)
	}
	if err != nil {
		t.Fatal(err)
	}
	return of
}

// callDeliveries calls every method of the delivery log in all its ways.
func callDeliveries(t *testing.T, s *Store) {
	t.Helper()
	ctx, log := t.Context(), s.Deliveries()
	ok := func(errs ...error) {
		t.Helper()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 20 {
		recordNew(t, s, domain.NotificationStates[n%5], n)
	}
	for _, order := range []domain.OrderID{"", newOrder(t, 1).ID} {
		for _, user := range []string{"", "ann"} {
			for _, channel := range []string{"", "mail"} {
				for _, states := range [][]domain.NotificationState{nil, {domain.Sent}, domain.NotificationStates} {
					query := ports.NotificationQuery{OrderID: order, UserID: user, Channel: channel, States: states, Limit: 1, To: epoch.AddDate(1, 0, 0)}
					page, err := log.List(ctx, query)
					query.Cursor, query.From = page.NextCursor, epoch
					ok(err, errorOf(log.List(ctx, query)))
				}
			}
		}
	}
	_, skipped := newNotification(t, domain.Skipped, 4)
	if _, err := log.Claim(ctx, domain.NotificationKey{EventID: skipped.ID, Channel: "mail"}); !errors.Is(err, ports.ErrExists) {
		t.Fatal(err)
	}
	dead := recordNew(t, s, domain.Dead, 100)
	claim, err := log.Claim(ctx, dead.Key())
	ok(err, claim.Release(ctx))
	due, err := log.ClaimDue(ctx, "mail", 3)
	ok(err)
	ok(due[0].Claim.Record(ctx, due[0].Notification, due[0].Event))
	ok(errorOf(log.ClaimHeld(ctx, domain.PauseKey{Channel: "mail", Receiver: "receiver"}, 3)))
	ok(errorOf(log.Expire(ctx, epoch.AddDate(1, 0, 0), 3)), errorOf(log.Forget(ctx, "ann")))
}

// The statements whose plans the general test accepts read no more of the index than
// they must.
func TestDeliveryPlans(t *testing.T) {
	s := openInside(t, filepath.Join(t.TempDir(), "orderflow.db"), Options{})
	callDeliveries(t, s)
	const claimed = "SEARCH c USING PRIMARY KEY (event_id=? AND channel=? AND recipient=?)"
	tests := map[string][]string{ // by a part of the statement
		"next_try <= ? AND NOT EXISTS": {"SEARCH d USING INDEX deliveries_due (channel=? AND next_try<?)", claimed},
		"held_receiver = ? AND NOT":    {"SEARCH d USING INDEX deliveries_held (held_channel=? AND held_receiver=?)", claimed},
		"channel = ?6 AND state = ?7 UNION ALL SELECT event_id, channel, recipient, user_id":   {"MERGE (UNION ALL)", "SEARCH deliveries USING INDEX deliveries_latest (channel=? AND state=? AND at>? AND (at,event_id)<(?,?))"},
		"channel = ?6 AND state = ?7 UNION ALL SELECT event_id, channel, recipient, state, at": {"MERGE (UNION ALL)", "SEARCH deliveries USING COVERING INDEX deliveries_latest (channel=? AND state=? AND at>? AND (at,event_id)<(?,?))"},
		"channel = ? AND state > ?": {"SEARCH deliveries USING COVERING INDEX deliveries_latest (channel=? AND state>?)"},
		"channel > ? ORDER BY":      {"SEARCH deliveries USING COVERING INDEX deliveries_latest (channel>?)"},
		"WHERE user_id = ? AND at >=": {
			"MERGE (UNION)",
			"SEARCH user_deliveries USING PRIMARY KEY (user_id=? AND at>? AND (at,event_id,channel,recipient)<(?,?,?,?))",
			"SEARCH recent_user_deliveries USING PRIMARY KEY (user_id=? AND at>? AND (at,event_id,channel,recipient)<(?,?,?,?))",
			"SEARCH deliveries USING PRIMARY KEY (event_id=? AND channel=? AND recipient=?)",
		},
	}
	statements := statementsOf(t, s)
	for part, steps := range tests {
		i := slices.IndexFunc(statements, func(sql string) bool {
			return strings.Contains(sql, part)
		})
		if i < 0 {
			t.Errorf("no statement with %q", part)
			continue
		}
		plan := planOf(t, s, statements[i])
		for _, step := range steps {
			if !slices.Contains(plan, step) {
				t.Errorf("%s\nplan %q, want the step %q", statements[i], plan, step)
			}
		}
	}
}

// SQLite merges the lists of a hundred channels, and sorts those of more.
func TestDeliveriesOfManyChannels(t *testing.T) {
	s := openInside(t, filepath.Join(t.TempDir(), "orderflow.db"), Options{})
	log := s.Deliveries()
	for _, channels := range []int{100, 101} {
		spoil(t, s, `INSERT OR IGNORE INTO deliveries (event_id, channel, recipient, user_id, state, at, next_try, held_channel, held_receiver, details)
			WITH RECURSIVE n (n) AS (VALUES (0) UNION ALL SELECT n + 1 FROM n WHERE n < ? - 1)
			SELECT 'event ' || key, 'channel ' || n, '', '', value, -10 * n - key, n, 'mail', '', '{}'
			FROM n, json_each('["sent","retrying","held","dead","skipped"]')`, channels)
		var times []time.Time
		query := ports.NotificationQuery{Limit: 99}
		for more := true; more; more = query.Cursor != "" {
			page, err := log.List(t.Context(), query)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range page.Notifications {
				times = append(times, n.At)
			}
			query.Cursor = page.NextCursor
		}
		if len(times) != 5*channels || !slices.IsSortedFunc(times, func(a, b time.Time) int { return b.Compare(a) }) {
			t.Errorf("%d channels: %d notifications, want %d, the latest first", channels, len(times), 5*channels)
		}
	}
	if n, err := log.Expire(t.Context(), time.UnixMilli(0), 10); n != 10 || err != nil {
		t.Errorf("expire: %d, error %v; want 10", n, err)
	}
}

// spoiltDeliveries are changes of another program that make a waiting row unreadable.
var spoiltDeliveries = []spoilt{
	{"state", "state = 'unknown'"}, {"at", "at = 253402300800000"}, {"next_try", "next_try = NULL"}, {"next_try", "next_try = 253402300800000"},
	{"held_channel", "state = 'held'"}, {"details", "details = ''"}, {"details", "details = '[]'"}, {"details", `details = '{"attempt":"x"}'`},
	{"first", `details = '{"first":253402300800000}'`}, {"attempts.at", `details = '{"attempts":[{"at":-62135596800001}]}'`},
}

func TestListSkipsUnreadableDeliveries(t *testing.T) {
	var log bytes.Buffer
	s := openInside(t, filepath.Join(t.TempDir(), "orderflow.db"), Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	var want []domain.Notification
	for n, change := range spoiltDeliveries {
		want = append(want, recordNew(t, s, domain.Retrying, 2*n))
		bad := recordNew(t, s, domain.Retrying, 2*n+1)
		spoil(t, s, "UPDATE deliveries SET "+change.change+" WHERE event_id = ?", string(bad.EventID))
		_, err := s.Deliveries().Claim(t.Context(), bad.Key())
		checkUnreadable(t, err, "event "+string(bad.EventID)+" by mail", change.field)
		if !ports.IsPermanent(err) {
			t.Errorf("claim: got %v, want a permanent error", err)
		}
	}
	slices.Reverse(want)
	for _, user := range []string{"", "ann"} {
		for _, limit := range []int{1, 3, 1000} {
			log.Reset()
			query := ports.NotificationQuery{UserID: user, Limit: limit}
			var got []domain.Notification
			for unreadable := 0; ; {
				page, err := s.Deliveries().List(t.Context(), query)
				if err != nil {
					t.Fatal(err)
				}
				got, unreadable = append(got, page.Notifications...), unreadable+page.Unreadable
				if query.Cursor = page.NextCursor; query.Cursor == "" {
					if unreadable != len(spoiltDeliveries) {
						t.Errorf("user %q by %d: %d records were skipped, want %d", user, limit, unreadable, len(spoiltDeliveries))
					}
					break
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("user %q by %d (-want +got):\n%s", user, limit, diff)
			}
			if !strings.Contains(log.String(), "table=deliveries") {
				t.Errorf("the log is %q, want the skipped records", &log)
			}
		}
	}
}

// ClaimDue returns the readable ones once, and does not find the others again until their
// claims end. Forget leaves nothing of the user in any of them.
func TestWaitingDeliveriesThatCannotBeRead(t *testing.T) {
	var log bytes.Buffer
	s := openInside(t, filepath.Join(t.TempDir(), "orderflow.db"), Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	spoilts := append(slices.Clone(spoiltDeliveries), spoilt{"event", "event = NULL"}, spoilt{"event", "event = '{}'"}, spoilt{"event", "event = json_remove(event, '$.body.id')"})
	count, due := len(spoilts), 0
	for n, change := range spoilts {
		bad := recordNew(t, s, domain.Retrying, n)
		spoil(t, s, "UPDATE deliveries SET "+change.change+" WHERE event_id = ?", string(bad.EventID))
		if change.field != "next_try" { // they are not due
			due++
		}
		recordNew(t, s, domain.Retrying, n+count)
	}
	for n, want := range []int{2, count - 2, 0} {
		got, err := s.Deliveries().ClaimDue(t.Context(), "mail", []int{2, 100, 100}[n])
		if err != nil || len(got) != want {
			t.Errorf("claim %d: %d deliveries, error %v; want %d", n, len(got), err, want)
		}
	}
	if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), fmt.Sprint("count=", due)) {
		t.Errorf("the log is %q, want one line for %d records", &log, due)
	}
	if n, err := s.Deliveries().Forget(t.Context(), "ann"); n != 2*count || err != nil {
		t.Errorf("forget: %d, error %v; want %d", n, err, 2*count)
	}
	err := s.read(t.Context(), func(tx *tx) error {
		return tx.query(func(r row) bool {
			t.Errorf("a row is left with user %q, details %s and event %s", r.ColumnText(0), r.ColumnText(1), r.ColumnText(2))
			return true
		}, "SELECT user_id, details, event FROM deliveries WHERE user_id <> '' OR details LIKE '%reason%' OR details LIKE '%answer%' OR event IS NOT NULL")
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Rows of this form are in files of users, so every later version must read them, and also
// those without optional fields.
func TestReadsStoredForms(t *testing.T) {
	s := openInside(t, filepath.Join(t.TempDir(), "orderflow.db"), Options{})
	of, event := newNotification(t, domain.Held, 1)
	of.First, of.Receiver = epoch, "mail.example.com"
	of.Attempts[0].Duration = 5 * time.Millisecond
	const (
		id      = "0192f0c1-2d3e-7f4a-8b5c-000000000001"
		details = `{"attempt":1,"first":1795428000000,"reason":"reason","receiver":"mail.example.com","attempts":[{"at":1795428000000,"ms":5,"outcome":"refused","code":"500","answer":"no"}]}`
		stored  = `{"properties":{"id":"` + id + `-created","content_type":"application/json","headers":{"ce-dataschema":"urn:orderflow:order.created:1.0","ce-id":"` + id + `-created","ce-source":"/orderflow/orders","ce-specversion":"1.0","ce-subject":"` + id +
			`","ce-time":"2026-11-23T10:00:00.001Z","ce-type":"order.created"},"timestamp":"2026-11-23T10:00:00.001Z"},"body":{"id":"` + id + `","user_id":"ann","product":"Laptop","quantity":1,"created_at":"2026-11-23T10:00:00.001Z"}}`
	)
	first := strings.Replace(stored, `"ce-dataschema":"urn:orderflow:order.created:1.0",`, "", 1) // of the first version
	insert := func(channel, details, stored string) {
		spoil(t, s, "INSERT INTO deliveries (event_id, channel, recipient, user_id, state, at, next_try, held_channel, held_receiver, details, event) VALUES (?, ?, '', 'ann', 'held', ?, ?, 'mail', 'receiver', ?, ?)",
			id+"-created", channel, of.At, of.NextTry, details, stored)
	}
	insert("mail", details, stored)
	insert("bare", "{}", first)
	bare := of
	bare.Channel, bare.First, bare.Receiver, bare.Attempts, bare.Attempt, bare.Reason = "bare", time.Time{}, "", nil, 0, ""
	for _, want := range []domain.Notification{of, bare} {
		due, err := s.Deliveries().ClaimDue(t.Context(), want.Channel, 2)
		if err != nil || len(due) != 1 {
			t.Fatalf("%s: claimed %d, error %v, want 1", want.Channel, len(due), err)
		}
		if diff := cmp.Diff(want, due[0].Notification) + cmp.Diff(event, due[0].Event); diff != "" {
			t.Errorf("%s (-want +got):\n%s", want.Channel, diff)
		}
	}
	columns, err := deliveryColumns(of, event)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]any{details, stored}, columns[columnDetails:columnDetails+2]); diff != "" {
		t.Errorf("the form has changed; read the old one, too (-want +got):\n%s", diff)
	}
}
