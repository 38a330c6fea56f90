package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/ncruces/go-sqlite3"

	"example.com/orderflow/ports"
)

// BackupOptions are the settings of [Backup].
type BackupOptions struct {
	Replace  bool                  // replace the target if it exists
	Progress func(done, total int) // called after each step, with numbers of pages; nil: not called

	vfs string // SQLite's file system, of tests
}

// BackupInfo describes a backup.
type BackupInfo struct {
	Path   string // absolute
	Bytes  int64
	Orders int
}

// Backup copies the file at the URL to a new file at the path, as it is at one moment,
// while stores use it or not. It does not become an owner, and changes nothing in the
// source.
//
// The copy appears under its name when it is complete, checked and on the disk. Only its
// owner may read it. No store has it open, so what was claimed is free in it. After an
// error, or when ctx ends, Backup leaves nothing. If the process dies, the next backup to
// the same path removes what was left.
//
// Backup uses SQLite's online backup, in small steps within one read transaction. VACUUM
// INTO makes a file that is smaller by some percents, takes twice as long, and reports no
// progress.
func Backup(ctx context.Context, url, path string, o BackupOptions) (info BackupInfo, err error) {
	source, err := parseURL(url)
	if err == nil {
		source.path, err = resolve(source.path)
	}
	if err != nil {
		return info, fmt.Errorf("back up: %w", err)
	}
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = ctx.Err()
		}
		describe(&err, "back up %s", source.path)
	}()
	source.vfs = o.vfs
	if path == "" {
		return info, errors.New("the target has no path; give one such as orderflow.backup")
	}
	if path, err = resolve(path); err != nil {
		return info, err
	}
	target := file{path: path}
	if err := target.checkTarget(source, o.Replace); err != nil {
		return info, err
	}
	partial, err := target.makePartial()
	if err != nil {
		return info, err
	}
	defer partial.remove()
	info = BackupInfo{Path: path}
	if err := partial.copyFrom(ctx, source, o.Progress); err != nil {
		return info, err
	}
	if info.Orders, info.Bytes, err = partial.finish(ctx); err != nil {
		return info, err
	}
	return info, target.publish(partial, o.Replace)
}

// besides are the endings of the files that SQLite keeps beside a database.
var besides = []string{"-wal", "-shm", "-journal"}

// checkTarget returns an error unless a backup of the source may get this name. A log of
// another database beside the backup would destroy it when it is opened.
func (f file) checkTarget(source file, replace bool) error {
	info, err := os.Stat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return f.classify(err)
	case info.IsDir():
		return f.refuse("it is a folder; add the name of a file")
	case !info.Mode().IsRegular():
		return f.refuse("it is no regular file; give the path of a new one")
	default:
		if original, err := os.Stat(source.path); err == nil && os.SameFile(original, info) {
			return f.refuse("it is the file itself; give the path of a new one")
		}
		if !replace {
			return f.refuse("it %w; give the path of a new file", ports.ErrExists)
		}
	}
	if strings.HasPrefix(f.path, source.path+"-") {
		return f.refuse("SQLite or a service may use this name beside the file; give another one")
	}
	for _, beside := range besides {
		if _, err := os.Lstat(f.path + beside); err == nil {
			return f.refuse("%s exists, so a process uses that database or has died; give the path of a new file", f.path+beside)
		}
	}
	return nil
}

// partial is a backup under a temporary name, with the number of rows of each table in
// the source.
type partial struct {
	file
	lock *os.File // held while this process writes the backup
	rows map[string]int
}

const (
	partialInfix = ".partial-"
	lockSuffix   = "-lock" // of a partial backup's lock file
)

// makePartial makes an empty file beside the target. Before, it removes the partial
// backups of processes that died.
func (f file) makePartial() (*partial, error) {
	f.removeDeadPartials()
	for range 10 { // removeDeadPartials of another process may be faster than the lock
		lock, err := os.CreateTemp(filepath.Dir(f.path), filepath.Base(f.path)+partialInfix+"*"+lockSuffix) // with mode 0600
		if err != nil {
			return nil, f.classify(err)
		}
		p := &partial{file: file{path: strings.TrimSuffix(lock.Name(), lockSuffix), mode: 0o600}, lock: lock}
		if locked, err := tryLock(lock); err == nil && (!locked || !isAt(lock, lock.Name())) {
			_ = lock.Close()
			continue
		} // without locks nothing is removed later
		made, err := os.OpenFile(p.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, p.mode)
		if err == nil {
			err = made.Close()
		}
		if err != nil {
			p.remove()
			return nil, f.classify(err)
		}
		return p, nil
	}
	return nil, f.classify(errors.New("another process removes the lock files beside it"))
}

// remove deletes what is left under the temporary name, and the lock last.
func (p *partial) remove() {
	for _, beside := range append([]string{""}, besides...) {
		_ = os.Remove(p.path + beside)
	}
	removeLocked(p.lock)
	_ = p.lock.Close()
}

// removeDeadPartials deletes the target's partial backups whose locks are free: their
// processes have died. A name without a lock file is not one of ours.
func (f file) removeDeadPartials() {
	folder := filepath.Dir(f.path)
	entries, _ := os.ReadDir(folder)
	for _, entry := range entries {
		name, ok := strings.CutPrefix(entry.Name(), filepath.Base(f.path)+partialInfix)
		name, isLock := strings.CutSuffix(name, lockSuffix)
		if _, err := strconv.ParseUint(name, 10, 64); !ok || !isLock || err != nil || !entry.Type().IsRegular() {
			continue
		}
		lock, err := os.OpenFile(filepath.Join(folder, entry.Name()), os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if free, err := tryLock(lock); err == nil && free {
			(&partial{file: file{path: strings.TrimSuffix(lock.Name(), lockSuffix)}, lock: lock}).remove()
			continue
		}
		_ = lock.Close()
	}
}

// copyFrom copies the source as it is now, page by page.
func (p *partial) copyFrom(ctx context.Context, source file, progress func(done, total int)) (err error) {
	c, err := source.openToRead(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	t := &tx{connection: c}
	if _, err := t.exec("BEGIN"); err != nil {
		return err
	}
	// The first read fixes what the transaction sees. So no write begins the copy anew.
	if version, err := source.version(c); err != nil {
		return err
	} else if version == 0 {
		return source.refuse("it has no tables yet: no service has used it; check the path")
	}
	if p.rows, err = t.countRows(); err != nil {
		return err
	}
	backup, err := c.conn.BackupInit("main", p.path)
	if err != nil {
		return p.classify(err)
	}
	defer func() { err = cmp.Or(err, p.classify(backup.Close())) }()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		done, err := backup.Step(pagesAtOnce)
		switch {
		case errors.Is(err, sqlite3.CORRUPT):
			return source.classify(err)
		case err != nil:
			return p.classify(err)
		}
		if progress != nil {
			progress(backup.PageCount()-backup.Remaining(), backup.PageCount())
		}
		if done {
			return nil
		}
	}
}

// pagesAtOnce is how many pages are copied between two looks at the context.
const pagesAtOnce = 1024

// openToRead opens a connection that changes no data. If the rights allow it, the last
// connection can still copy the log into the database, as SQLite always does.
func (f *file) openToRead(ctx context.Context) (*connection, error) {
	info, err := os.Stat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, f.refuse("it does not exist; check the path")
	case err != nil:
		return nil, f.classify(err)
	case !info.Mode().IsRegular():
		return nil, f.refuse("it is no regular file; give the path of a database")
	}
	f.mode = info.Mode().Perm()
	if open, err := os.Open(f.path); err == nil {
		err = f.checkNames(open)
		open.Close()
		if err != nil {
			return nil, err
		}
	}
	c, err := f.dial()
	if err != nil {
		c, err = f.dialFlags(sqlite3.OPEN_READONLY)
	}
	if err != nil {
		return nil, err
	}
	c.conn.SetInterrupt(ctx)
	if err := c.conn.Exec("PRAGMA query_only = ON"); err != nil {
		c.close()
		return nil, f.classify(err)
	}
	return c, nil
}

// countRows returns the number of rows of each table.
func (t *tx) countRows() (map[string]int, error) {
	rows := make(map[string]int)
	err := t.query(func(r row) bool {
		rows[r.ColumnText(0)] = 0
		return true
	}, "SELECT name FROM sqlite_schema WHERE type = 'table'")
	for table := range rows {
		if err == nil {
			err = t.query(func(r row) bool { rows[table] = r.ColumnInt(0); return false }, `SELECT count(*) FROM "`+table+`"`)
		}
	}
	return rows, err
}

// finish checks the copy, ends the claims in it, and syncs it.
func (p *partial) finish(ctx context.Context) (orders int, bytes int64, err error) {
	if err := p.check(ctx); err != nil {
		return 0, 0, err
	}
	copied, err := os.OpenFile(p.path, os.O_RDWR, 0)
	if err != nil {
		return 0, 0, p.classify(err)
	}
	defer copied.Close()
	info, err := copied.Stat()
	if err == nil {
		err = copied.Sync()
	}
	if err != nil {
		return 0, 0, p.classify(err)
	}
	return p.rows["orders"], info.Size(), nil
}

func (p *partial) check(ctx context.Context) error {
	for _, beside := range []string{"-wal", "-shm"} { // the mode of the log is stored in the file
		if err := p.makeBeside(beside); err != nil {
			return err
		}
	}
	c, err := p.dial()
	if err != nil {
		return err
	}
	defer c.close()
	c.conn.SetInterrupt(ctx)
	// A journal in memory and no syncs: nobody else has the file before it is complete.
	if err := c.conn.Exec("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF"); err != nil {
		return p.classify(err)
	}
	version, err := p.version(c)
	if err == nil && version == 0 {
		err = errors.New("it has no tables")
	}
	if err != nil {
		return p.wrong(err)
	}
	t := &tx{connection: c}
	rows, err := t.countRows()
	if err != nil {
		return err
	}
	for _, table := range slices.Sorted(maps.Keys(p.rows)) {
		if rows[table] != p.rows[table] {
			return p.wrong(fmt.Errorf("it has %d rows of %s, and the source has %d", rows[table], table, p.rows[table]))
		}
	}
	if _, err := t.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err := t.freeAll(); err != nil {
		return err
	}
	if _, err := t.exec("COMMIT"); err != nil {
		return err
	}
	verdict := ""
	if err := t.query(func(r row) bool { verdict = r.ColumnText(0); return false }, "PRAGMA integrity_check(1)"); err != nil {
		return err
	}
	if verdict != "ok" {
		return p.wrong(errors.New(verdict))
	}
	return nil
}

// wrong returns the error of a copy that is not like its source.
func (p *partial) wrong(err error) error {
	return fmt.Errorf("%w: the copy is wrong, so the file or a disk is damaged: %w", ports.ErrUnavailable, err)
}

// freeAll ends the claims of all owners, because none of them has this file open.
func (t *tx) freeAll() error {
	var owners []int64
	err := t.query(func(r row) bool { owners = append(owners, r.ColumnInt64(0)); return true }, "SELECT id FROM owners")
	for _, owner := range owners {
		if err == nil {
			_, err = t.free(owner)
		}
	}
	return err
}

// publish gives the backup its name, and syncs the folder.
func (f file) publish(p *partial, replace bool) error {
	err := errors.ErrUnsupported
	if !replace {
		err = renameNew(p.path, f.path)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			err = os.Link(p.path, f.path) // unlike os.Rename, it never replaces a file
		}
	}
	if err != nil && !errors.Is(err, fs.ErrExist) { // some file systems have no links
		if err = f.checkAbsent(replace); err == nil {
			err = os.Rename(p.path, f.path)
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return f.refuse("it was made meanwhile; give the path of a new file")
	}
	if err != nil {
		return f.classify(err)
	}
	_ = os.Remove(p.path) // if both names exist; the caller removes the rest
	return f.classify(syncFolder(filepath.Dir(f.path)))
}

// syncFolder makes sure that a new name in the folder is on the disk.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" { // it has no such call
		return nil
	}
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

func (f file) checkAbsent(replace bool) error {
	if _, err := os.Lstat(f.path); err == nil && !replace {
		return fs.ErrExist
	}
	return nil
}
