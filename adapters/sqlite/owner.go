package sqlite

import (
	"context"
	"math/rand/v2"
	"time"
)

// register makes this store an owner of claims.
func (s *Store) register(ctx context.Context) error {
	s.owner = rand.Int64()
	return s.write(ctx, fleeting, func(tx *tx) error {
		_, err := tx.exec("INSERT INTO owners (id, started_at) VALUES (?, ?)", s.owner, time.Now())
		return err
	})
}

// unregister ends the store's claims. Nobody else writes at the same time.
func (s *Store) unregister(context.Context) error {
	if s.writer == nil || s.owner == 0 {
		return nil
	}
	errs := s.writeAll(context.Background(), []*write{{durability: fleeting, f: func(tx *tx) error { return tx.free(s.owner) }}})
	return errs[0]
}

// free frees what the owner has claimed or taken, and forgets it.
func (t *tx) free(owner int64) error {
	for _, sql := range []string{
		"UPDATE outbox SET owner = NULL, free_at = 0 WHERE owner = ?",
		"DELETE FROM delivery_claims WHERE owner = ?",
		"UPDATE messages SET owner = NULL WHERE owner = ?",
		"UPDATE dead_letter_queue SET owner = NULL WHERE owner = ?",
		"DELETE FROM owners WHERE id = ?",
	} {
		if _, err := t.exec(sql, owner); err != nil {
			return err
		}
	}
	return nil
}
