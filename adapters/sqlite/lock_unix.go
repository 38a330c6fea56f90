//go:build linux || darwin || freebsd || openbsd || netbsd || dragonfly || illumos

package sqlite

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

const deletesOpenFiles = true

// tryLock locks the file until it is closed or the process ends. It returns false if
// another process, or another open file of this process, holds the lock.
func tryLock(f *os.File) (bool, error) {
	for {
		switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
		case err == nil:
			return true, nil
		case errors.Is(err, unix.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, unix.EINTR):
			return false, err
		}
	}
}
