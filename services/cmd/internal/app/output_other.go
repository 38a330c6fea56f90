//go:build !unix

package app

import (
	"syscall"
	"time"
)

func canWrite(syscall.RawConn, time.Duration) bool { return true }
