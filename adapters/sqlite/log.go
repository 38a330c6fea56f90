package sqlite

import (
	"context"
	"os"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// checkpointPages is the size of the write-ahead log at which its pages are copied to the
// database. A page that many transactions change is copied once: with SQLite's default
// of 1000 pages, writing takes 15 % more CPU.
const checkpointPages = 4000

// watchLog notes the size of the log after each commit by this connection. It replaces
// SQLite's own checkpoints, which hide their errors.
func (c *connection) watchLog() {
	c.checkpointAt = checkpointPages
	c.conn.WALHook(func(_ *sqlite3.Conn, _ string, pages int) error {
		c.logPages = pages
		return nil
	})
}

// checkpoint copies the log to the database once it is large enough. Readers don't wait.
// After an error the next commit tries again.
func (s *Store) checkpoint(c *connection) {
	if c.logPages < c.checkpointAt {
		return
	}
	_, _, err := c.conn.WALCheckpoint("main", sqlite3.CHECKPOINT_PASSIVE)
	s.suspect = s.suspect || isSyncFault(err)
}

// Usually the write-ahead log is used anew soon after its pages were copied to the
// database. That needs a moment without a read that began before. If none comes, the log
// grows.
const (
	maxLog     = 128 << 20        // bytes at which the store makes such a moment
	logPause   = 10 * time.Second // between two tries
	logTimeout = time.Second      // how long writes wait for reads in a try
)

// logKeeper bounds the log.
type logKeeper struct {
	max  int64
	next time.Time // of the next try
}

// keep uses the log anew if it has grown too large. Meanwhile writes wait, and new reads
// don't.
func (k *logKeeper) keep(ctx context.Context, s *Store) {
	info, err := os.Stat(s.file.path + "-wal")
	if err != nil || info.Size() <= k.max || time.Now().Before(k.next) {
		return
	}
	k.next = time.Now().Add(logPause)
	ctx, cancel := context.WithTimeout(ctx, logTimeout)
	defer cancel()
	c, err := s.takeReader(ctx)
	if err != nil {
		return
	}
	defer func() { s.readers <- c }()
	defer c.conn.SetInterrupt(c.conn.SetInterrupt(ctx))
	if _, _, err := c.conn.WALCheckpoint("main", sqlite3.CHECKPOINT_RESTART); err != nil {
		s.options.Logger.WarnContext(ctx, "the file's log grows, because another program reads the file for long; end that program",
			"file", info.Name(), "bytes", info.Size(), "error", err)
	}
}
