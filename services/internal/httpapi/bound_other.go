//go:build !unix

package httpapi

import "math"

// maxOpenFiles returns how many files the process may have open: here the system
// has no such limit.
func maxOpenFiles() int { return math.MaxInt32 }
