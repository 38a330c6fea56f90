//go:build !unix

package httpapi

import "math"

// maxOpenFiles returns how many files the process may have open: there is no
// such limit.
func maxOpenFiles() int { return math.MaxInt32 }
