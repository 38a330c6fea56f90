package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// file is the database's file and the settings of its connections.
type file struct {
	path        string
	mode        fs.FileMode // of the database and of the files beside it
	info        fs.FileInfo // of the database, once a store has prepared it
	synchronous string      // of durable writes
	cacheSize   int
	vfs         string // of tests
}

// busyTimeout is how long a write waits for another process's transactions.
const busyTimeout = 5 * time.Second

// prepare makes the file if it does not exist, and the files beside it with the same
// rights: SQLite would let everybody read them.
func (f *file) prepare() error {
	file, err := os.OpenFile(f.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		if info, e := os.Stat(f.path); e == nil && info.IsDir() {
			return f.refuse("it is a folder; give the path of a file")
		}
		return f.classify(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return f.classify(err)
	}
	if !info.Mode().IsRegular() {
		return f.refuse("it is no regular file; give the path of one")
	}
	f.mode, f.info = info.Mode().Perm(), info
	if f.path, err = resolve(f.path); err != nil { // the file may have been made at the end of a link
		return f.classify(err)
	}
	return f.checkNames(file)
}

// makeBeside makes a file beside the database, unless it exists.
func (f *file) makeBeside(suffix string) error {
	beside, err := os.OpenFile(f.path+suffix, os.O_RDWR|os.O_CREATE|os.O_EXCL, f.mode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return f.classify(err)
	}
	return errors.Join(f.share(beside), beside.Close())
}

// share gives a file beside the database the same rights, whatever the umask is, and the
// same owner, if this user may do that: after a command of root the service has to open it.
func (f *file) share(beside *os.File) error {
	if f.info != nil && os.Geteuid() == 0 {
		if err := giveToOwner(beside, f.info); err != nil {
			return err
		}
	}
	return beside.Chmod(f.mode)
}

// dial opens a connection as SQLite does by default.
func (f *file) dial() (*connection, error) { return f.dialFlags(sqlite3.OPEN_READWRITE) }

func (f *file) dialFlags(flags sqlite3.OpenFlag) (*connection, error) {
	name := f.path
	if f.vfs != "" {
		u := url.URL{Scheme: "file", Path: filepath.ToSlash(f.path), RawQuery: "vfs=" + f.vfs}
		name, flags = u.String(), flags|sqlite3.OPEN_URI
	}
	conn, err := sqlite3.OpenFlags(name, flags)
	if err != nil {
		return nil, f.classify(err)
	}
	c := &connection{file: *f, conn: conn, statements: make(map[string]*sqlite3.Stmt)}
	if err := conn.BusyHandler(waitForOthers()); err != nil {
		c.close()
		return nil, f.classify(err)
	}
	return c, nil
}

// connect opens a connection to a database of ours.
func (f *file) connect(ctx context.Context) (*connection, error) {
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := f.makeBeside(suffix); err != nil {
			return nil, err
		}
	}
	c, err := f.dial()
	if err != nil {
		return nil, err
	}
	if err := f.setUp(ctx, c); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (f *file) setUp(ctx context.Context, c *connection) error {
	t := &tx{connection: c}
	until := time.Now().Add(busyTimeout)
	for {
		mode := ""
		err := t.query(func(r row) bool { mode = r.ColumnText(0); return true }, "PRAGMA journal_mode = WAL")
		switch {
		case err == nil && mode == "wal":
			return f.classify(c.conn.Exec(fmt.Sprintf("PRAGMA foreign_keys = OFF; PRAGMA recursive_triggers = ON; PRAGMA synchronous = %s; PRAGMA cache_size = %d; PRAGMA journal_size_limit = %d",
				f.synchronous, f.cacheSize, maxIdleLog)))
		case err == nil:
			return f.refuse("its file system has no shared memory, which several connections need (journal mode %s); give a path on another one", mode)
		case !errors.Is(err, sqlite3.BUSY) || time.Now().After(until): // SQLite does not always wait
			return err
		}
		select {
		case <-ctx.Done():
			return f.classify(ctx.Err())
		case <-time.After(busyPause):
		}
	}
}

// maxIdleLog is the size in bytes to which the write-ahead log shrinks when it is reused.
const maxIdleLog = 64 << 20

// busyPause is short, because SQLite serves whoever asks first when the file is free.
const busyPause = 200 * time.Microsecond

// waitForOthers returns a busy handler.
func waitForOthers() func(context.Context, int) bool {
	var until time.Time
	return func(ctx context.Context, count int) bool {
		if count == 0 {
			until = time.Now().Add(busyTimeout)
		}
		if time.Now().After(until) {
			return false
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(busyPause):
			return true
		}
	}
}
