package sqlite

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/ncruces/go-sqlite3"

	"example.com/orderflow/adapters/internal/gather"
	"example.com/orderflow/ports"
)

// durability says when a write returns.
type durability bool

const (
	// durable writes are on the disk.
	durable durability = true

	// fleeting writes are committed: other processes see them, and they survive this
	// process. They need no sync of their own, because nothing is lost without them.
	fleeting durability = false
)

// callTimeout bounds each call of a port's method. It also bounds how long a read can
// keep the write-ahead log from being reused.
const callTimeout = 10 * time.Second

// write is a call's part of a transaction.
type write struct {
	durability durability
	f          func(*tx) error

	mu   sync.Mutex // held while f runs
	left bool       // the caller has returned: f must not run any more
}

// Key returns "", so that writes keep the order of their arrival.
func (*write) Key() string { return "" }

// Size returns 0: the number of writes alone bounds a transaction.
func (*write) Size() int { return 0 }

// write calls f in the next transaction, with the writes of other callers, and returns
// f's error, or that of the transaction. If f returns an error, nothing is changed.
//
// f may run several times, because the transaction is repeated when another write in it
// fails. f never runs after write has returned, even if ctx has ended, so f may use the
// caller's variables. It must be short, because every writer waits for it.
func (s *Store) write(ctx context.Context, d durability, f func(*tx) error) error {
	if err := s.lost(); err != nil {
		return err
	}
	w := &write{durability: d, f: f}
	err := s.writes.Do(ctx, w)
	w.leave()
	switch {
	case errors.Is(err, gather.ErrClosed):
		return s.file.classify(errClosed)
	case err == context.Canceled || err == context.DeadlineExceeded:
		return s.file.classify(err)
	}
	return err
}

func (w *write) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left = true
}

// run calls f. If f panics or fails after a change, the transaction can't be committed:
// then run sets the transaction's fault.
func (w *write) run(t *tx) (err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.left {
		return context.Canceled // nobody reads it
	}
	defer func() {
		if p := recover(); p != nil {
			t.fault = fmt.Errorf("%w: writing panicked: %v\n%s", ports.ErrUnavailable, p, debug.Stack())
		}
	}()
	before := t.conn.TotalChanges()
	err = w.f(t)
	if err != nil && t.fault == nil && t.conn.TotalChanges() != before {
		t.fault = err
	}
	return err
}

// writeAll runs the writes in one transaction. If one of them fails, it repeats the
// transaction without that one, so that the others don't fail with it.
func (s *Store) writeAll(ctx context.Context, writes []*write) []error {
	errs := make([]error, len(writes))
	failed := make([]bool, len(writes))
	for {
		culprit, err := s.commit(ctx, writes, failed, errs)
		if err == nil {
			return errs
		}
		if culprit < 0 {
			for i := range errs {
				if !failed[i] {
					errs[i] = err
				}
			}
			return errs
		}
		failed[culprit], errs[culprit] = true, err
	}
}

// commit runs the writes that have not failed in one transaction, and sets their errors.
// Its own error means that nothing was changed or acknowledged. It is the error of the
// culprit, or of the transaction if culprit is negative.
func (s *Store) commit(ctx context.Context, writes []*write, failed []bool, errs []error) (culprit int, err error) {
	c := s.writer
	needsSync := false
	for i, w := range writes {
		needsSync = needsSync || !failed[i] && w.durability == durable
	}
	defer c.conn.SetInterrupt(c.conn.SetInterrupt(ctx))
	defer func() {
		if err != nil && ctx.Err() != nil {
			culprit, err = -1, c.file.classify(ctx.Err())
		}
	}()
	if err := s.begin(c, needsSync); err != nil {
		return -1, err
	}
	defer func() {
		c.conn.SetInterrupt(context.Background())
		if !c.conn.GetAutocommit() { // a write or the commit has failed
			_ = c.conn.Exec("ROLLBACK")
		}
	}()
	// Another process may have taken this owner for dead, because its lock file is missing.
	// Nobody would free what this one takes after that.
	if err := s.checkInPlace(); err != nil {
		return -1, err
	}
	before := c.conn.TotalChanges()
	defer func() {
		switch {
		case err != nil && isOfDisk(err):
			s.troubled.Store(true)
		case err == nil && c.conn.TotalChanges() != before:
			s.troubled.Store(false)
		}
	}()
	t := &tx{connection: c}
	for i, w := range writes {
		if failed[i] {
			continue
		}
		if ctx.Err() != nil {
			return -1, ctx.Err()
		}
		errs[i] = w.run(t)
		if t.fault != nil {
			if isOfFile(t.fault) {
				i = -1
			}
			return i, t.fault
		}
	}
	for i := range s.recent {
		if err := s.recent[i].move(t, t.listed[s.recent[i].userList]); err != nil {
			return -1, err
		}
	}
	for name, n := range t.counts {
		if _, err := t.exec("INSERT INTO counters (name, n) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET n = n + ?2", name, n); err != nil {
			return -1, err
		}
	}
	if _, err := t.exec("COMMIT"); err != nil {
		s.suspect = s.suspect || isSyncFault(err)
		return -1, err
	}
	c.conn.SetInterrupt(context.Background())
	s.checkpoint(c)
	for _, f := range t.after {
		f()
	}
	return -1, s.checkInPlace()
}

// begin begins a transaction that writes.
func (s *Store) begin(c *connection, needsSync bool) error {
	if err := s.lost(); err != nil {
		return err
	}
	if s.suspect {
		// After a failed sync the system may drop what it could not write, and report
		// success the next time. Copying the log to the database writes it anew.
		if _, _, err := c.conn.WALCheckpoint("main", sqlite3.CHECKPOINT_RESTART); err != nil {
			return c.file.classify(err)
		}
		s.suspect = false
	}
	if c.unsynced == needsSync {
		mode := "NORMAL"
		if needsSync {
			mode = c.file.synchronous
		}
		// Not a prepared statement: this pragma works when it is compiled.
		if err := c.conn.Exec("PRAGMA synchronous = " + mode); err != nil {
			return c.file.classify(err)
		}
		c.unsynced = !needsSync
	}
	_, err := (&tx{connection: c}).exec("BEGIN IMMEDIATE")
	return err
}

// list counts a new entry of the list.
func (t *tx) list(l *userList) {
	if t.listed == nil {
		t.listed = make(map[*userList]int)
	}
	t.listed[l]++
}

// count changes a counter by n.
func (t *tx) count(name string, n int) {
	if t.counts == nil {
		t.counts = make(map[string]int)
	}
	t.counts[name] += n
}
