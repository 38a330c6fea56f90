package sqlite

import (
	"bytes"
	"context"
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

// spoilt are changes of another program that make a row unreadable, by the field that the
// error names.
var (
	spoiltOrders = []spoilt{
		{"user_id", "user_id = ''"}, {"user_id", "user_id = CAST(x'ff' AS TEXT)"}, {"product", "product = char(0)"},
		{"quantity", "quantity = 0"}, {"quantity", "quantity = 9223372036854775807"},
		{"created_at", "created_at = 253402300800000"}, {"created_at", "created_at = -9223372036854775807"},
		{"id", "id = 'spoilt ' || id"},
	}
	spoiltLetters = []spoilt{
		{"since", "since = 253402300800000"}, {"failures", "failures = ''"}, {"failures", "failures = '[]'"}, {"failures", "failures = '[7]'"},
		{"failures", "failures = '[{\"reason\":7}]'"}, {"failures.last_failure", "failures = '[{\"first_failure\":\"2026-11-23T10:00:00Z\"}]'"},
		{"state", "state = 'unknown'"}, {"settled_at", "state = 'replayed'"}, {"settled_at", "state = 'replayed', settled_at = 253402300800000"},
	}
	spoiltContacts = []spoilt{
		{"addresses", "addresses = ''"}, {"addresses", "addresses = '[]'"}, {"off", "off = '{}'"}, {"updated_at", "updated_at = 253402300800000"},
	}
)

type spoilt struct{ field, change string }

// A list returns each readable record once and counts each unreadable one once, at the
// beginning, between the others, and at the end of a page or of all.
func TestListsSkipUnreadableRecords(t *testing.T) {
	ctx := t.Context()
	tests := map[string]struct {
		spoilt []spoilt
		key    string
		add    func(s *Store, n int) (id string, err error)
		list   func(s *Store, limit int, cursor string) (ids []string, next string, unreadable int, err error)
		get    func(s *Store, id string) error
	}{
		"orders": {spoiltOrders, "id",
			func(s *Store, n int) (string, error) {
				order := newOrder(t, n)
				return string(order.ID), s.Orders().Add(ctx, order, domain.Origin{})
			},
			func(s *Store, limit int, cursor string) (ids []string, next string, unreadable int, err error) {
				page, err := s.Orders().List(ctx, ports.OrderQuery{Limit: limit, Cursor: cursor})
				for _, order := range page.Orders {
					ids = append(ids, string(order.ID))
				}
				return ids, page.NextCursor, page.Unreadable, err
			},
			func(s *Store, id string) error { return errorOf(s.Orders().Get(ctx, domain.OrderID(id))) },
		},
		"dead_letters": {spoiltLetters, "id",
			func(s *Store, n int) (string, error) {
				return newLetter(n).ID, s.DeadLetters().Put(ctx, newLetter(n))
			},
			func(s *Store, limit int, cursor string) (ids []string, next string, unreadable int, err error) {
				page, err := s.DeadLetters().List(ctx, ports.DeadLetterQuery{Limit: limit, Cursor: cursor, Reason: "reason"})
				for _, letter := range page.Records {
					ids = append(ids, letter.ID)
				}
				return ids, page.NextCursor, page.Unreadable, err
			},
			func(s *Store, id string) error { return errorOf(s.DeadLetters().Get(ctx, id)) },
		},
		"contacts": {spoiltContacts, "user_id",
			func(s *Store, n int) (string, error) {
				id := fmt.Sprintf("user %03d", n)
				return id, s.Contacts().Put(ctx, ports.Contact{UserID: id, UpdatedAt: epoch})
			},
			func(s *Store, limit int, cursor string) (ids []string, next string, unreadable int, err error) {
				page, err := s.Contacts().List(ctx, limit, cursor)
				for _, contact := range page.Contacts {
					ids = append(ids, contact.UserID)
				}
				return ids, page.NextCursor, page.Unreadable, err
			},
			func(s *Store, id string) error { return errorOf(s.Contacts().Get(ctx, id)) },
		},
	}
	for table, tt := range tests {
		t.Run(table, func(t *testing.T) {
			var log bytes.Buffer
			s := openInside(t, filepath.Join(t.TempDir(), "orderflow.db"), Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			var want []string
			count := len(tt.spoilt)
			for n := range 3 * count {
				id, err := tt.add(s, n)
				if err != nil {
					t.Fatal(err)
				}
				if n%3 == 1 {
					want = append(want, id)
					continue
				}
				change := tt.spoilt[n/3]
				spoil(t, s, "UPDATE "+table+" SET "+change.change+" WHERE "+tt.key+" = ?", id)
				if change.field == "id" {
					id = "spoilt " + id
				}
				checkUnreadable(t, tt.get(s, id), id, change.field)
			}
			if table == "orders" {
				slices.Reverse(want)
			}
			for _, limit := range []int{1, 2, count, 1000} {
				log.Reset()
				var got []string
				unreadable, pages := 0, 0
				for cursor, more := "", true; more; pages++ {
					ids, next, skipped, err := tt.list(s, limit, cursor)
					if err != nil {
						t.Fatal(err)
					}
					got, unreadable = append(got, ids...), unreadable+skipped
					cursor, more = next, next != ""
				}
				if diff := cmp.Diff(want, got); diff != "" || unreadable != 2*count {
					t.Errorf("by %d: %d unreadable, want %d; ids (-want +got):\n%s", limit, unreadable, 2*count, diff)
				}
				if lines := strings.Count(log.String(), "\n"); lines > pages || !strings.Contains(log.String(), "table="+table) {
					t.Errorf("by %d: %d lines of log for %d pages:\n%s", limit, lines, pages, &log)
				}
			}
		})
	}
}

func checkUnreadable(t *testing.T, err error, id, field string) {
	t.Helper()
	var unreadable *ports.UnreadableError
	if !errors.As(err, &unreadable) || unreadable.ID != id || unreadable.Field != field || errors.Is(err, ports.ErrUnavailable) {
		t.Errorf("got %v, want that record %s can't be read because of its %s", err, id, field)
	}
}

// Orders that can't be read, or are gone, stay claimed. So they don't come first in each
// Claim, and Claim returns the others.
func TestClaimAmongUnreadableOrders(t *testing.T) {
	var log bytes.Buffer
	s := openInside(t, filepath.Join(t.TempDir(), "orderflow.db"), Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	orders := s.Orders()
	past := epoch.AddDate(-1, 0, 0)
	var want []domain.Event
	for n := range 2 * len(spoiltOrders) {
		order := newOrder(t, n)
		if err := orders.Add(t.Context(), order, domain.Origin{}); err != nil {
			t.Fatal(err)
		}
		if err := orders.Release(t.Context(), past, order.Created().ID); err != nil {
			t.Fatal(err)
		}
		switch {
		case n >= len(spoiltOrders):
			want = append(want, order.Created())
		case spoiltOrders[n].field == "id":
			spoil(t, s, "DELETE FROM orders WHERE id = ?", string(order.ID))
		default:
			spoil(t, s, "UPDATE orders SET "+spoiltOrders[n].change+" WHERE id = ?", string(order.ID))
		}
	}
	for n, events := range [][]domain.Event{want[:2], want[2:], nil} {
		got, err := orders.Claim(t.Context(), []int{2, 100, 100}[n])
		if diff := cmp.Diff(events, got); diff != "" || err != nil {
			t.Errorf("claim %d: error %v; events (-want +got):\n%s", n, err, diff)
		}
		if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), fmt.Sprintf("table=orders count=%d", len(spoiltOrders))) {
			t.Errorf("claim %d: the log is %q, want one line for all unreadable orders", n, &log)
		}
	}
}

// A record that can't be read stays as it is, and its letter's error is permanent, so that
// the queue does not try for ever.
func TestLettersThatCannotBeRead(t *testing.T) {
	var log bytes.Buffer
	s := openInside(t, filepath.Join(t.TempDir(), "orderflow.db"), Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	letters := s.DeadLetters()
	letter := newLetter(1)
	letter.Message.Body = []byte(`{"user_id":"ann"}`)
	if err := letters.Put(t.Context(), letter); err != nil {
		t.Fatal(err)
	}
	record, err := letters.Get(t.Context(), letter.ID)
	if err != nil {
		t.Fatal(err)
	}
	spoil(t, s, "UPDATE dead_letters SET failures = '{}'")
	letter.Failure.LastFailure = epoch.Add(time.Hour)
	err = letters.Put(t.Context(), letter)
	checkUnreadable(t, err, letter.ID, "failures")
	if !ports.IsPermanent(err) {
		t.Errorf("put: got %v, want a permanent error", err)
	}
	checkUnreadable(t, letters.Settle(t.Context(), record, ports.Discarded, "somebody"), letter.ID, "failures")
	if n, err := letters.Forget(t.Context(), "ann"); n != 0 || err != nil || !strings.Contains(log.String(), letter.ID) {
		t.Errorf("forget: %d, error %v, log %q; want none, and the letter's id in the log", n, err, &log)
	}

	failures, err := encodeFailures([]ports.Failure{letter.Failure})
	if err != nil {
		t.Fatal(err)
	}
	spoil(t, s, "UPDATE dead_letters SET failures = ?, properties = '{'", failures)
	checkUnreadable(t, errorOf(letters.Get(t.Context(), letter.ID)), letter.ID, "message")
	if err := letters.Put(t.Context(), letter); !ports.IsPermanent(err) {
		t.Errorf("put: got %v, want a permanent error", err)
	}
}

func TestPausesSkipUnreadableRows(t *testing.T) {
	var log bytes.Buffer
	s := openInside(t, filepath.Join(t.TempDir(), "orderflow.db"), Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	var want []ports.Pause
	for _, channel := range []string{"a", "b", "c", "d"} {
		pause := ports.Pause{PauseKey: domain.PauseKey{Channel: channel, Receiver: "r"}, Kind: ports.Manual, Since: epoch}
		if err := s.ChannelStates().Pause(context.Background(), pause); err != nil {
			t.Fatal(err)
		}
		if channel == "b" || channel == "d" {
			want = append(want, pause)
		}
	}
	spoil(t, s, "UPDATE pauses SET since = 253402300800000 WHERE channel = 'a'")
	spoil(t, s, "UPDATE pauses SET probe = -253402300800000 WHERE channel = 'c'")
	got, err := s.ChannelStates().Pauses(t.Context())
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v; pauses (-want +got):\n%s", err, diff)
	}
	if !strings.Contains(log.String(), `table=pauses count=2 ids="[a r c r]"`) {
		t.Errorf("the log is %q, want it to name both pauses", &log)
	}
}
