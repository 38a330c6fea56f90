package httpapi

import "sync/atomic"

const (
	// maxConnections is how many connections a process serves if the limit of
	// open files allows more. An idle one takes about 25 KB, and up to 46 KB if
	// its last header had 4 KB of short fields.
	maxConnections = 4096

	// otherFiles is how many open files are left for the rest of the process, such
	// as a store's pool of 100 connections; at most two thirds of the limit.
	otherFiles = 192

	// maxSpare is how many connections a server takes beyond its bound, to answer
	// health checks and to refuse other requests; fewer if the bound is low.
	maxSpare = 16
)

// bound is how many connections a server serves at once.
type bound struct {
	connections int
	reason      string // why no more, to follow "as many as"
	attrs       []any  // for the log
}

// spare returns how many connections more the server takes.
func (b bound) spare() int { return min(maxSpare, max(1, b.connections/2)) }

func fixedBound(connections int) bound {
	return bound{connections: connections, reason: "this address serves"}
}

// sharing counts the servers that share the limit of open files.
var sharing atomic.Int64

// sharedBound returns the bound of one of the servers that share the limit.
func sharedBound(files, servers int) bound {
	servers = max(1, servers)
	each := (files-min(otherFiles, files*2/3))/servers - 1 // one is being accepted
	allowed := max(1, each-min(maxSpare, max(1, each/3)))
	if most := maxConnections / servers; most <= allowed {
		return fixedBound(most)
	}
	return bound{allowed, "the limit of open files allows", []any{"open_files_limit", files}}
}
