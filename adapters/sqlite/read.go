package sqlite

import (
	"cmp"
	"context"
)

// read calls f in a transaction that only reads, beside the writer and other readers. f
// sees one state of the file.
func (s *Store) read(ctx context.Context, f func(*tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	c, err := s.takeReader(ctx)
	if err != nil {
		return s.file.classify(err)
	}
	defer func() { s.readers <- c }()
	defer context.AfterFunc(s.lifetime, cancel)()
	if err := s.checkInPlace(); err != nil {
		return err
	}
	defer c.conn.SetInterrupt(c.conn.SetInterrupt(ctx))
	t := &tx{connection: c}
	_, err = t.exec("BEGIN")
	defer func() {
		c.conn.SetInterrupt(context.Background())
		_ = c.conn.Exec("ROLLBACK")
	}()
	if err == nil {
		err = cmp.Or(f(t), t.fault)
	}
	switch {
	case err != nil && s.lifetime.Err() != nil:
		return s.file.classify(errClosed)
	case err != nil && ctx.Err() != nil:
		return s.file.classify(ctx.Err())
	}
	return err
}

// takeReader takes a connection out of readers; the caller puts it back.
func (s *Store) takeReader(ctx context.Context) (*connection, error) {
	select {
	case <-s.closing:
		return nil, errClosed
	default:
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case c := <-s.readers:
		return c, nil
	case <-s.closing:
		return nil, errClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
