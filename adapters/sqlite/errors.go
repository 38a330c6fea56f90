package sqlite

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/ncruces/go-sqlite3"

	"example.com/orderflow/adapters/internal/refused"
	"example.com/orderflow/ports"
)

var errClosed = errors.New("the store is closed")

// problem is a kind of error, with the way out.
type problem struct {
	codes   []error // of SQLite or the system
	wayOut  string
	refused bool // nothing helps until a person changes something
}

const putBackup = "stop every process that uses the file, and put a backup in its place"

// problems are the errors that an operator can end. The first that matches counts.
var problems = []problem{
	{[]error{sqlite3.FULL, syscall.ENOSPC, syscall.EDQUOT},
		"the disk or quota is full; free some space, and the store goes on", false},
	{[]error{syscall.EROFS},
		"the file system is read-only; mount it for writing", true},
	{[]error{syscall.EMFILE, syscall.ENFILE},
		"too many files are open; raise the limit (ulimit -n)", false},
	{[]error{fs.ErrPermission, sqlite3.READONLY, sqlite3.PERM, sqlite3.AUTH},
		"it can't be written; give this user the right to read and write the file and its folder", true},
	{[]error{syscall.EISDIR},
		"it is a folder; give the path of a file", true},
	{[]error{fs.ErrNotExist, syscall.ENOTDIR},
		"its folder does not exist; make it, or give another path", true},
	{[]error{sqlite3.NOTADB},
		"it is no SQLite database, or its first page is damaged; give another path, or " + putBackup, true},
	{[]error{sqlite3.CORRUPT},
		"the file is damaged; " + putBackup, true},
	{[]error{sqlite3.BUSY, sqlite3.LOCKED},
		"another program keeps it locked; end that program, or wait for it", false},
	{[]error{sqlite3.CANTOPEN},
		"it, its log (-wal) or its index (-shm) can't be opened; give this user the right to read and write all three and their folder", true},
	{[]error{sqlite3.IOERR, syscall.EIO},
		"the disk can't be read or written; see the system's log", false},
}

// classify returns an error of SQLite or the system as the ports define it, with the
// file's name and the way out.
func (f file) classify(err error) error {
	if err == nil || errors.Is(err, ports.ErrUnavailable) {
		return err
	}
	if errors.Is(err, sqlite3.TOOBIG) {
		return ports.Permanent(fmt.Errorf("too large for SQLite: %w", err))
	}
	var number syscall.Errno
	if errors.Is(err, sqlite3.IOERR) && !errors.As(err, &number) {
		if cause := f.probe(); cause != nil {
			err = fmt.Errorf("%w: %w", err, cause)
		}
	}
	if at, ok := err.(*fs.PathError); ok && at.Path == f.path { // the text names it already
		err = fmt.Errorf("%s: %w", at.Op, at.Err)
	}
	for _, p := range problems {
		if !slices.ContainsFunc(p.codes, func(code error) bool { return errors.Is(err, code) }) {
			continue
		}
		if p.refused {
			return f.refuse("%s: %w", p.wayOut, err)
		}
		return fmt.Errorf("%w: %s: %s: %w", ports.ErrUnavailable, f.path, p.wayOut, err)
	}
	return fmt.Errorf("%w: %s: %w", ports.ErrUnavailable, f.path, err)
}

// probe writes a file beside the database and returns the system's error, because SQLite
// often hides it.
func (f file) probe() (err error) {
	file, err := os.CreateTemp(filepath.Dir(f.path), filepath.Base(f.path)+"-probe-")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = file.Write(make([]byte, 4096))
	return cmp.Or(err, file.Sync(), file.Close())
}

// refuse returns an error that lasts until a person changes something.
func (f file) refuse(format string, args ...any) error {
	return refused.Error(fmt.Errorf("%s: %w", f.path, fmt.Errorf(format, args...)))
}

// isOfFile reports whether the error would meet any other write, too.
func isOfFile(err error) bool {
	var code sqlite3.ErrorCode
	if !errors.As(err, &code) {
		return false
	}
	return slices.Contains([]sqlite3.ErrorCode{
		sqlite3.FULL, sqlite3.IOERR, sqlite3.BUSY, sqlite3.LOCKED, sqlite3.READONLY, sqlite3.CANTOPEN, sqlite3.PROTOCOL,
		sqlite3.PERM, sqlite3.AUTH, sqlite3.NOTADB, sqlite3.NOMEM, sqlite3.INTERRUPT,
	}, code)
}

// isOfDisk reports whether the disk has failed to do what was asked.
func isOfDisk(err error) bool {
	return errors.Is(err, sqlite3.FULL) || errors.Is(err, sqlite3.IOERR) || errors.Is(err, sqlite3.READONLY)
}

// isSyncFault reports whether the system has failed to write what it had taken.
func isSyncFault(err error) bool {
	return errors.Is(err, sqlite3.IOERR_FSYNC) || errors.Is(err, sqlite3.IOERR_DIR_FSYNC)
}
