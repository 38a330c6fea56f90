//go:build unix

package app

import (
	"io/fs"
	"os"
	"syscall"
)

// keepOwner gives the file the owner and group of another.
func keepOwner(file *os.File, of fs.FileInfo) error {
	own, err := file.Stat()
	if err != nil {
		return err
	}
	a, ok := own.Sys().(*syscall.Stat_t)
	b, isOther := of.Sys().(*syscall.Stat_t)
	if !ok || !isOther || a.Uid == b.Uid && a.Gid == b.Gid {
		return nil
	}
	return file.Chown(int(b.Uid), int(b.Gid))
}
