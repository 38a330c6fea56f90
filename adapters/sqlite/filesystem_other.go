//go:build !linux

package sqlite

// kindOf returns the kind of the file system at the path, 0 if it is unknown.
func kindOf(string) uint32 { return 0 }

// freeBytes reports false: it is unknown.
func freeBytes(string) (n uint64, known bool) { return 0, false }
