package httpapi

import "sync/atomic"

const (
	// mostConnections is how many connections a process serves where the limit of
	// open files allows more. One that is idle takes some 25 KB, and up
	// to 46 KB if its last header had 4 KB of short fields.
	mostConnections = 4096

	// otherFiles is how many files a process may have open beside, such as a
	// store's pool of 100 connections; two thirds of a lower limit.
	otherFiles = 192

	// mostSpare is how many connections a server takes beyond its bound, to
	// answer for its health on them and to refuse all else; fewer where the bound
	// is low.
	mostSpare = 16
)

// bound is how many connections a server serves at once.
type bound struct {
	connections int
	why         string // this many, in words
	attrs       []any  // for the log
}

// spare returns how many more it takes.
func (b bound) spare() int { return min(mostSpare, max(1, b.connections/2)) }

func fixedBound(connections int) bound {
	return bound{connections: connections, why: "this address serves"}
}

// sharing is how many servers share what the limit of open files leaves.
var sharing atomic.Int64

// sharedBound is what each of them serves.
func sharedBound(files, servers int) bound {
	servers = max(1, servers)
	each := (files-min(otherFiles, files*2/3))/servers - 1 // one is being accepted
	allowed := max(1, each-min(mostSpare, max(1, each/3)))
	if most := mostConnections / servers; most <= allowed {
		return fixedBound(most)
	}
	return bound{allowed, "the limit of open files allows", []any{"open_files_limit", files}}
}
