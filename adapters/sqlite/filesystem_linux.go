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

// freeBytes returns how much of the file system at the path this user can still write.
func freeBytes(path string) (n uint64, known bool) {
	var info unix.Statfs_t
	if err := unix.Statfs(path, &info); err != nil {
		return 0, false
	}
	return info.Bavail * uint64(info.Bsize), true
}
