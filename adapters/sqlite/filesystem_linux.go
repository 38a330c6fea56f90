package sqlite

import "golang.org/x/sys/unix"

// kindOf returns the kind of the file system at the path, 0 if it is unknown.
func kindOf(path string) uint32 {
	var info unix.Statfs_t
	if err := unix.Statfs(path, &info); err != nil {
		return 0
	}
	return uint32(info.Type)
}
