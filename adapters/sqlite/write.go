package sqlite

import (
	"context"
	"slices"
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

// write is a call's part of a transaction.
type write struct {
	ctx        context.Context
	durability durability
	f          func(*tx) error
}

// Key returns "", so that writes keep the order of their arrival.
func (write) Key() string { return "" }

// Size returns 0: the number of writes alone bounds a transaction.
func (write) Size() int { return 0 }

// write calls f in the next transaction, with the writes of other callers, and returns
// f's error, or that of the transaction.
//
// If f returns an error, it must have changed nothing. The transaction is repeated
// when another write in it fails, so f may run several times.
func (s *Store) write(ctx context.Context, d durability, f func(*tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return s.writes.Do(ctx, write{ctx, d, f})
}

// writeAll runs the writes in one transaction. When one of them fails, it runs each in
// a transaction of its own, so that the others don't fail with it.
func (s *Store) writeAll(ctx context.Context, writes []write) []error {
	errs, err := s.commit(ctx, writes)
	if err == nil {
		return errs
	}
	if len(writes) == 1 || ctx.Err() != nil {
		return slices.Repeat([]error{err}, len(writes))
	}
	errs = make([]error, len(writes))
	for i := range writes {
		alone, err := s.commit(ctx, writes[i:i+1])
		if err != nil {
			alone = []error{err}
		}
		errs[i] = alone[0]
	}
	return errs
}

// commit runs the writes in one transaction. It returns the errors of the writes, or
// an error of the transaction, which has changed nothing.
func (s *Store) commit(ctx context.Context, writes []write) (errs []error, err error) {
	c := s.writer
	needsSync := slices.ContainsFunc(writes, func(w write) bool { return w.durability == durable })
	if err := c.begin(needsSync); err != nil {
		return nil, err
	}
	t := &tx{connection: c}
	defer func() {
		if !c.conn.GetAutocommit() { // f panicked, or the commit has failed
			_ = c.conn.Exec("ROLLBACK")
		}
	}()
	errs = make([]error, len(writes))
	for i, w := range writes {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		errs[i] = w.f(t)
		if t.fault != nil {
			return nil, t.fault
		}
	}
	for name, n := range t.counts {
		if _, err := t.exec("INSERT INTO counters (name, n) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET n = n + ?2", name, n); err != nil {
			return nil, err
		}
	}
	if _, err := t.exec("COMMIT"); err != nil {
		return nil, err
	}
	if err := c.file.inPlace(); err != nil {
		return nil, c.file.classify(err)
	}
	for _, f := range t.after {
		f()
	}
	return errs, nil
}

// begin begins a transaction that writes.
func (c *connection) begin(needsSync bool) error {
	t := &tx{connection: c}
	if c.unsynced == needsSync {
		mode := "NORMAL"
		if needsSync {
			mode = c.file.synchronous
		}
		if _, err := t.exec("PRAGMA synchronous = " + mode); err != nil {
			return err
		}
		c.unsynced = !needsSync
	}
	_, err := t.exec("BEGIN IMMEDIATE")
	return err
}

// count changes a counter by n.
func (t *tx) count(name string, n int) {
	if t.counts == nil {
		t.counts = make(map[string]int)
	}
	t.counts[name] += n
}

// read calls f in a transaction that only reads, beside the writer and other readers.
func (s *Store) read(ctx context.Context, f func(*tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var c *connection
	select {
	case c = <-s.readers:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { s.readers <- c }()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	defer c.conn.SetInterrupt(c.conn.SetInterrupt(ctx))
	t := &tx{connection: c}
	if _, err := t.exec("BEGIN"); err != nil {
		return err
	}
	defer func() {
		c.conn.SetInterrupt(context.Background())
		_ = c.conn.Exec("ROLLBACK")
	}()
	err := f(t)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
