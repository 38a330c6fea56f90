package sqlite

import "golang.org/x/sys/unix"

// isMount reports whether the file is mounted alone, without its folder. Linux tells
// since version 5.8.
func isMount(path string) bool {
	var info unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, 0, 0, &info)
	return err == nil && info.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}
