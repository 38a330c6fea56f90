//go:build unix

package app

import (
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// canWrite waits until the descriptor is writable or broken, for wait at most.
func canWrite(conn syscall.RawConn, wait time.Duration) bool {
	can := true
	err := conn.Control(func(descriptor uintptr) {
		ready, err := unix.Poll([]unix.PollFd{{Fd: int32(descriptor), Events: unix.POLLOUT}}, int(wait.Milliseconds()))
		can = ready > 0 || err != nil && !errors.Is(err, unix.EINTR)
	})
	return can || err != nil // a write returns the error
}
