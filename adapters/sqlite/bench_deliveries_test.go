package sqlite

import (
	"path/filepath"
	"testing"
	"time"

	"example.com/orderflow/adapters/internal/cursor"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// fillDeliveries stores count notifications of 100 users by one channel. Half of them are
// sent, and the others are due. A few by another channel are sent.
func fillDeliveries(b *testing.B, s *Store, count int) {
	b.Helper()
	_, event := newNotification(b, domain.Retrying, 0)
	encoded, err := encodeEvent(event)
	if err != nil {
		b.Fatal(err)
	}
	spoil(b, s, `WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?1 - 1)
		INSERT INTO deliveries SELECT printf('0192f0c1-2d3e-7f4a-8b5c-%012d-created', i), iif(i % 10000 = 0, 'rare', 'mail'), '', 'user ' || (i % 101),
			iif(i % 2 = 0, 'sent', 'retrying'), i, iif(i % 2 = 0, NULL, i), NULL, NULL, '{}', iif(i % 2 = 0, NULL, ?2), iif(i % 2 = 0, NULL, i) FROM n`, count, encoded)
}

// BenchmarkOfManyDeliveries measures calls that meet many notifications.
func BenchmarkOfManyDeliveries(b *testing.B) {
	const count = 100_000
	s := openInside(b, filepath.Join(b.TempDir(), "orderflow.db"), Options{})
	fillDeliveries(b, s, count)
	log := s.Deliveries()
	middle := cursor.EncodeNotification(cursor.Notification{At: time.UnixMilli(count / 2)})
	for name, query := range map[string]ports.NotificationQuery{
		"all":         {},
		"ofUser":      {UserID: "user 7"},
		"ofState":     {States: []domain.NotificationState{domain.Retrying}},
		"rareState":   {States: []domain.NotificationState{domain.Dead}},
		"rareChannel": {Channel: "rare"},
	} {
		b.Run("List/"+name, func(b *testing.B) {
			query.Limit, query.Cursor = 20, middle
			for b.Loop() {
				if err := errorOf(log.List(b.Context(), query)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("Expire/none", func(b *testing.B) {
		for b.Loop() {
			if n, err := log.Expire(b.Context(), time.UnixMilli(0), 256); n != 0 || err != nil {
				b.Fatalf("%d expired, error %v", n, err)
			}
		}
	})
	b.Run("ClaimDue", func(b *testing.B) {
		const batch = 100
		if err := errorOf(log.ClaimDue(b.Context(), "mail", ports.MaxListLimit)); err != nil { // others that come first
			b.Fatal(err)
		}
		for b.Loop() {
			due, err := log.ClaimDue(b.Context(), "mail", batch)
			if err != nil || len(due) != batch {
				b.Fatalf("claimed %d, error %v", len(due), err)
			}
			b.StopTimer()
			for _, w := range due {
				if err := w.Claim.Release(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			b.StartTimer()
		}
		b.ReportMetric(float64(b.N)*batch/b.Elapsed().Seconds(), "deliveries/s")
	})
}
