//go:build !(linux || darwin || freebsd || openbsd || netbsd || dragonfly || illumos || windows)

package sqlite

import (
	"errors"
	"os"
)

const deletesOpenFiles = false

func tryLock(*os.File) (bool, error) { return false, errors.ErrUnsupported }
