package sqlite

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

const deletesOpenFiles = false

// tryLock locks the file until it is closed or the process ends. It returns false if
// another process, or another open file of this process, holds the lock.
func tryLock(f *os.File) (bool, error) {
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, new(windows.Overlapped))
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return false, nil
	}
	return err == nil, err
}
