package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ownerInterval is how often each store looks for owners that have died, and for dead
// letters whose retention is over.
const ownerInterval = time.Second

// register makes this store an owner of claims, and frees those of dead ones. The lock
// file exists and is locked before the row does, so that nobody takes the owner for dead.
func (s *Store) register(ctx context.Context) error {
	id, lock, err := s.file.newOwnerLock()
	if err != nil {
		return err
	}
	s.owner, s.lock = id, lock
	p, err := placeOf(s.file.ownerPath(id))
	if err != nil {
		return err
	}
	s.places = append(s.places, p)
	err = s.write(ctx, fleeting, func(tx *tx) error {
		_, err := tx.exec("INSERT INTO owners (id, started_at) VALUES (?, ?)", id, time.Now())
		return err
	})
	if err != nil {
		return err
	}
	if err := s.freeDeadOwners(ctx); err != nil {
		return err
	}
	if err := s.checkMoved(ctx); err != nil {
		return err
	}
	s.file.removeStrayLocks()
	s.goroutines.Go(s.maintain)
	return nil
}

// unregister ends the store's claims. Nobody else writes at the same time. If it can't
// write, another process ends the claims, or the next start.
func (s *Store) unregister() {
	if s.lock == nil {
		return
	}
	if s.lost() == nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		s.writeAll(ctx, []*write{{durability: fleeting, f: func(tx *tx) error { _, err := tx.free(s.owner); return err }}})
		removeLocked(s.lock)
	}
	_ = s.lock.Close()
}

// maintain frees the claims of dead owners, deletes dead letters whose retention is over,
// and bounds the log, until the store is closed.
func (s *Store) maintain() {
	ctx := s.lifetime
	log := logKeeper{max: maxLog}
	for {
		select {
		case <-s.closing:
			return
		case <-time.After(ownerInterval):
			_ = s.freeDeadOwners(ctx) // the callers of the ports report an outage
			_ = s.parts.deadLetters.sweep(ctx)
			_ = s.parts.actions.sweep(ctx)
			log.keep(ctx, s)
		}
	}
}

// OtherOwners returns how many other stores have the file open, in this process or
// another.
func (s *Store) OtherOwners(ctx context.Context) (n int, err error) {
	defer describe(&err, "count owners")
	if err := s.freeDeadOwners(ctx); err != nil {
		return 0, err
	}
	ids, err := s.otherOwners(ctx)
	return len(ids), err
}

func (s *Store) otherOwners(ctx context.Context) (ids []int64, err error) {
	err = s.read(ctx, func(tx *tx) error {
		return tx.query(func(r row) bool {
			ids = append(ids, r.ColumnInt64(0))
			return true
		}, "SELECT id FROM owners WHERE id <> ? ORDER BY id", s.owner)
	})
	return ids, err
}

// freeDeadOwners frees the claims of the other owners whose locks are free, or whose lock
// files are missing, as beside a copy of the database.
func (s *Store) freeDeadOwners(ctx context.Context) error {
	ids, err := s.otherOwners(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := s.freeIfDead(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) freeIfDead(ctx context.Context, id int64) error {
	lock, err := os.OpenFile(s.file.ownerPath(id), os.O_RDWR, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return s.file.classify(err)
	default:
		defer lock.Close()
		if free, err := tryLock(lock); err != nil || !free {
			return s.file.classify(err)
		}
		defer removeLocked(lock)
	}
	var was freed
	err = s.write(ctx, fleeting, func(tx *tx) (err error) {
		was, err = tx.free(id)
		return err
	})
	if err == nil && was.owners > 0 { // and no other process was faster
		s.options.Logger.WarnContext(ctx, "a process ended without closing its store; its claims are free",
			"owner", ownerName(id), "events_freed", was.events, "notifications_freed", was.notifications, "messages_freed", was.messages)
	}
	return err
}

// freed counts what an owner had claimed or taken.
type freed struct{ owners, events, notifications, messages int }

// free frees what the owner has claimed or taken, and forgets it.
func (t *tx) free(owner int64) (was freed, err error) {
	for _, step := range []struct {
		sql   string
		count *int
	}{
		{"UPDATE outbox SET owner = NULL, free_at = 0 WHERE owner = ?", &was.events},
		{"DELETE FROM delivery_claims WHERE owner = ?", &was.notifications},
		{"UPDATE messages SET owner = NULL WHERE owner = ?", &was.messages},
		{"UPDATE dead_letter_queue SET owner = NULL WHERE owner = ?", &was.messages},
		{"DELETE FROM moved WHERE owner = ?", new(int)},
		{"DELETE FROM owners WHERE id = ?", &was.owners},
	} {
		n, err := t.exec(step.sql, owner)
		if err != nil {
			return freed{}, err
		}
		*step.count += n
	}
	return was, nil
}

func ownerName(id int64) string { return fmt.Sprintf("%016x", id) }

const ownerInfix = "-owner-"

func (f file) ownerPath(id int64) string { return f.path + ownerInfix + ownerName(id) }

// newOwnerLock makes a lock file and locks it.
func (f file) newOwnerLock() (id int64, lock *os.File, err error) {
	for range 10 { // removeStrayLocks of another process may be faster than the lock
		id = rand.Int64()
		path := f.ownerPath(id)
		lock, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, f.mode)
		if err != nil {
			return 0, nil, f.classify(err)
		}
		_ = f.share(lock)
		locked, err := tryLock(lock)
		if err != nil {
			lock.Close()
			os.Remove(path)
			return 0, nil, f.refuse("its file system has no locks (%w); give a path on another one", err)
		}
		if locked && isAt(lock, path) {
			return id, lock, nil
		}
		lock.Close()
	}
	return 0, nil, f.classify(errors.New("another process removes the lock files beside it"))
}

func isAt(open *os.File, path string) bool {
	at, err := os.Stat(path)
	if err != nil {
		return false
	}
	is, err := open.Stat()
	return err == nil && os.SameFile(at, is)
}

// removeLocked deletes a lock file that this process holds.
func removeLocked(lock *os.File) {
	if !deletesOpenFiles {
		_ = lock.Close()
	}
	_ = os.Remove(lock.Name())
}

// removeStrayLocks deletes the lock files that no process holds. Their owners have no
// rows, because the dead owners were freed before.
func (f file) removeStrayLocks() {
	entries, _ := os.ReadDir(filepath.Dir(f.path))
	for _, entry := range entries {
		name, ok := strings.CutPrefix(entry.Name(), filepath.Base(f.path)+ownerInfix)
		if !ok {
			continue
		}
		if _, err := strconv.ParseInt(name, 16, 64); err != nil {
			continue
		}
		lock, err := os.OpenFile(filepath.Join(filepath.Dir(f.path), entry.Name()), os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if free, err := tryLock(lock); err == nil && free {
			removeLocked(lock)
		}
		lock.Close()
	}
}
