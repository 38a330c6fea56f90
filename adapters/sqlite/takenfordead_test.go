package sqlite

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"example.com/orderflow/ports"
)

// A store whose lock file was deleted, and which another one has taken for dead, takes
// nothing more: nobody would free it.
func TestTakenForDeadTakesNothing(t *testing.T) {
	ctx, path := t.Context(), filepath.Join(t.TempDir(), "orders.db")
	one, other := openInside(t, path, Options{}), openInside(t, path, Options{})
	spoil(t, other, "INSERT INTO messages (subscription, properties, body, attempt, due) VALUES ('', '{}', x'', 1, 0)")
	if err := os.Remove(one.file.ownerPath(one.owner)); err != nil {
		t.Fatal(err)
	}
	if n, err := other.OtherOwners(ctx); n != 0 || err != nil {
		t.Fatalf("%d other owners, error %v, want none", n, err)
	}
	err := one.write(ctx, fleeting, func(tx *tx) error {
		_, err := tx.exec("UPDATE messages SET owner = ?", one.owner)
		return err
	})
	if !errors.Is(err, ports.ErrUnavailable) {
		t.Errorf("take: error %v, want ErrUnavailable", err)
	}
	taken := 0
	err = other.read(ctx, func(tx *tx) error {
		return tx.query(func(r row) bool { taken = r.ColumnInt(0); return false }, "SELECT count(*) FROM messages WHERE owner IS NOT NULL")
	})
	if taken != 0 || err != nil {
		t.Errorf("%d messages are taken, error %v, want none", taken, err)
	}
	if err := other.write(ctx, fleeting, func(tx *tx) error { _, err := tx.exec("DELETE FROM messages"); return err }); err != nil {
		t.Errorf("write of the other store: %v", err)
	}
}

// A path that can't be examined for a while, as in a folder without the right to search
// it, does not mean that a committed write failed: repeating it would lose what it took.
func TestCommittedOnceWhilePathIsUnreadable(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	s := openInside(t, filepath.Join(folder, "orders.db"), Options{})
	away, runs := folder+"-away", 0
	hide := func() error { return errors.Join(os.Rename(folder, away), os.WriteFile(folder, nil, 0o600)) }
	show := func() error { return errors.Join(os.Remove(folder), os.Rename(away, folder)) }
	o := &outage{logger: slog.New(slog.DiscardHandler)}
	shown := make(chan error, 1)
	err := s.persist(t.Context(), o, fleeting, func(tx *tx) error {
		if runs++; runs == 1 {
			if err := hide(); err != nil {
				return err
			}
			time.AfterFunc(200*time.Millisecond, func() { shown <- show() })
		}
		tx.count("runs", 1)
		return nil
	})
	if err := errors.Join(err, <-shown); err != nil {
		t.Fatal(err)
	}
	if runs != 1 {
		t.Errorf("the write ran %d times, want once", runs)
	}
}
