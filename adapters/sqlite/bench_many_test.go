package sqlite

import (
	"path/filepath"
	"testing"
	"time"

	"example.com/orderflow/adapters/internal/cursor"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// fill stores count orders of 100 users, whose events are free, and as many dead letters.
// Other ways to store them would take most of a benchmark's time.
func fill(b *testing.B, s *Store, count int) {
	b.Helper()
	for _, sql := range []string{
		`WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?1 - 1)
		INSERT INTO orders SELECT printf('0192f0c1-2d3e-7f4a-8b5c-%012d', i), 'user ' || (i % 100), 'Laptop', 1, i FROM n`,
		`INSERT INTO outbox (order_id, owner, free_at) SELECT id, NULL, created_at FROM orders`,
		`INSERT INTO dead_letters SELECT id || '-created', '', 'm', 'waiting', created_at, NULL, '', 'order.created', user_id, 'refused by ' || (created_at % 50),
			'[{"reason":"refused","attempts":7,"first_failure":"2026-11-23T10:00:00Z","last_failure":"2026-11-23T10:00:00Z"}]', '{}', zeroblob(300) FROM orders`,
	} {
		var args []any
		if sql[0] == 'W' {
			args = append(args, count)
		}
		spoil(b, s, sql, args...)
	}
}

// BenchmarkOfMany measures calls that meet many records: pages from the middle, all dead
// letters for a reason that none has, and claims from a backlog.
func BenchmarkOfMany(b *testing.B) {
	const count = 100_000
	s := openInside(b, filepath.Join(b.TempDir(), "orderflow.db"), Options{})
	fill(b, s, count)
	middle := time.UnixMilli(count / 2)
	after := func(query ports.OrderQuery) ports.OrderQuery {
		query.Cursor = cursor.Encode(cursor.Position{CreatedAt: middle, ID: newOrder(b, 0).ID}, query)
		return query
	}
	letter := cursor.EncodeLetter(cursor.Letter{Since: middle})
	for name, call := range map[string]func() (int, error){
		"List": func() (int, error) {
			page, err := s.Orders().List(b.Context(), after(ports.OrderQuery{Limit: 20}))
			return len(page.Orders) - 20, err
		},
		"ListOfUser": func() (int, error) {
			page, err := s.Orders().List(b.Context(), after(ports.OrderQuery{Limit: 20, UserID: "user 7"}))
			return len(page.Orders) - 20, err
		},
		"ListOfUserOfPeriod": func() (int, error) {
			query := ports.OrderQuery{Limit: 20, UserID: "user 7", CreatedFrom: middle.Add(-10 * time.Second), CreatedTo: middle}
			page, err := s.Orders().List(b.Context(), query)
			return len(page.Orders) - 20, err
		},
		"Groups": func() (int, error) {
			groups, err := s.DeadLetters().Groups(b.Context(), ports.DeadLetterQuery{State: ports.Waiting})
			return groups.Total - count, err
		},
		"GroupsOfUser": func() (int, error) {
			groups, err := s.DeadLetters().Groups(b.Context(), ports.DeadLetterQuery{UserID: "user 7"})
			return groups.Total - count/100, err
		},
		"GroupsOfReason": func() (int, error) {
			groups, err := s.DeadLetters().Groups(b.Context(), ports.DeadLetterQuery{State: ports.Waiting, Reason: "refused"})
			return groups.Total - count, err
		},
		"DeadLettersOfGroup": func() (int, error) {
			subscription := ""
			query := ports.DeadLetterQuery{Limit: 20, State: ports.Waiting, Subscription: &subscription, Group: "refused by 7", Cursor: letter}
			page, err := s.DeadLetters().List(b.Context(), query)
			return len(page.Records) - 20, err
		},
		"DeadLettersOfUser": func() (int, error) {
			page, err := s.DeadLetters().List(b.Context(), ports.DeadLetterQuery{Limit: 20, State: ports.Waiting, UserID: "user 7", Cursor: letter})
			return len(page.Records) - 20, err
		},
		"DeadLetters": func() (int, error) {
			page, err := s.DeadLetters().List(b.Context(), ports.DeadLetterQuery{Limit: 20, Cursor: letter, State: ports.Waiting})
			return len(page.Records) - 20, err
		},
		"DeadLettersByReason": func() (int, error) {
			page, err := s.DeadLetters().List(b.Context(), ports.DeadLetterQuery{Limit: 20, Reason: "unknown"})
			return len(page.Records), err
		},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if wrong, err := call(); wrong != 0 || err != nil {
					b.Fatalf("%d records too many, error %v", wrong, err)
				}
			}
		})
	}
	b.Run("Claim", func(b *testing.B) {
		const batch = 100
		for b.Loop() {
			events, err := s.Orders().Claim(b.Context(), batch)
			if err != nil {
				b.Fatal(err)
			}
			ids := make([]domain.EventID, len(events))
			for i, event := range events {
				ids[i] = event.ID
			}
			if err := s.Orders().Release(b.Context(), epoch, ids...); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)*batch/b.Elapsed().Seconds(), "events/s")
	})
}
