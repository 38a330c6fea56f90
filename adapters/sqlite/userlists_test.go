package sqlite

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// The lists of users are complete and in order, wherever their entries are, after
// changes, and after the file was opened again.
func TestUserLists(t *testing.T) {
	path := filepath.Join(t.TempDir(), "orderflow.db")
	s := openInside(t, path, Options{})
	const users, limit = 7, 10
	want := make(map[string][]domain.OrderID)
	check := func() {
		t.Helper()
		for user, ids := range want {
			var orders, notified []domain.OrderID
			for cursor, first := "", true; first || cursor != ""; first = false {
				page, err := s.Orders().List(t.Context(), ports.OrderQuery{UserID: user, Limit: 3, Cursor: cursor})
				if err != nil {
					t.Fatal(err)
				}
				for _, o := range page.Orders {
					orders = append(orders, o.ID)
				}
				cursor = page.NextCursor
			}
			for cursor, first := "", true; first || cursor != ""; first = false {
				page, err := s.Deliveries().List(t.Context(), ports.NotificationQuery{UserID: user, Limit: 3, Cursor: cursor})
				if err != nil {
					t.Fatal(err)
				}
				for _, n := range page.Notifications {
					notified = append(notified, n.OrderID)
				}
				cursor = page.NextCursor
			}
			if diff := cmp.Diff(ids, orders); diff != "" {
				t.Errorf("orders of %s (-want +got):\n%s", user, diff)
			}
			if diff := cmp.Diff(ids, notified); diff != "" {
				t.Errorf("notifications of %s (-want +got):\n%s", user, diff)
			}
		}
	}
	add := func(from, to int) {
		t.Helper()
		for n := from; n < to; n++ {
			order := newOrder(t, n)
			order.UserID = fmt.Sprint("user-", n%users)
			if err := s.Orders().Add(t.Context(), order, domain.Origin{}); err != nil {
				t.Fatal(err)
			}
			sent := domain.Notification{EventID: order.Created().ID, Channel: "log", OrderID: order.ID, UserID: order.UserID, State: domain.Dead, At: order.CreatedAt}
			for _, sent.State = range []domain.NotificationState{domain.Dead, domain.Sent} { // the second one replaces the first
				sent.At = sent.At.Add(time.Millisecond)
				claim, err := s.Deliveries().Claim(t.Context(), sent.Key())
				if err == nil {
					err = claim.Record(t.Context(), sent, order.Created())
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			want[order.UserID] = slices.Insert(want[order.UserID], 0, order.ID)
		}
	}
	for i := range s.recent {
		s.recent[i].limit = limit
	}
	add(0, 60)
	check()
	counts := countEntries(t, s)
	for table, n := range counts {
		if large := table == userOrders.table || table == userDeliveries.table; large && n < 30 || !large && (n == 0 || n > 2*limit) {
			t.Errorf("%d entries in %s", n, table)
		}
	}

	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	s = openInside(t, path, Options{})
	for i := range s.recent {
		s.recent[i].limit = limit
		if want := counts[s.recent[i].recent]; s.recent[i].count != want {
			t.Errorf("%s: opened with %d entries, want %d", s.recent[i].recent, s.recent[i].count, want)
		}
	}
	add(60, 80)
	check()
	execute(t, path, "INSERT OR REPLACE INTO deliveries SELECT * FROM deliveries") // as version 1 does: no trigger deletes the former entries
	check()

	forgotten, err := s.Deliveries().Forget(t.Context(), "user-1")
	if err != nil || forgotten != len(want["user-1"]) {
		t.Errorf("%d forgotten, error %v; want %d", forgotten, err, len(want["user-1"]))
	}
	delete(want, "user-1")
	check()
	if _, err := s.Deliveries().Expire(t.Context(), epoch.AddDate(1, 0, 0), 1000); err != nil {
		t.Fatal(err)
	}
	spoil(t, s, "DELETE FROM orders")
	for table, n := range countEntries(t, s) {
		if n > 0 {
			t.Errorf("%d entries in %s of deleted rows", n, table)
		}
	}
}

func countEntries(t *testing.T, s *Store) map[string]int {
	t.Helper()
	counts := make(map[string]int)
	for _, l := range []*userList{userOrders, userDeliveries} {
		for _, table := range []string{l.table, l.recent} {
			err := s.read(t.Context(), func(tx *tx) (err error) {
				counts[table], err = tx.countEntries(table)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return counts
}
