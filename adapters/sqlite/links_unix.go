//go:build unix

package sqlite

import (
	"io/fs"
	"os"
	"syscall"
)

// linksTo returns how many names the open file has, 0 if it is unknown.
func linksTo(f *os.File) uint64 {
	info, err := f.Stat()
	if err != nil {
		return 0
	}
	return linksIn(info)
}

func linksIn(info fs.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(stat.Nlink)
	}
	return 0
}
