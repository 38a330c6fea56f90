//go:build unix

package sqlite

import (
	"io/fs"
	"os"
	"syscall"
)

// giveToOwner gives the file to the user and group of the other file.
func giveToOwner(f *os.File, other fs.FileInfo) error {
	if stat, ok := other.Sys().(*syscall.Stat_t); ok {
		return f.Chown(int(stat.Uid), int(stat.Gid))
	}
	return nil
}
