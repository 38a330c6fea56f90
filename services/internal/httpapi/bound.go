package httpapi

import "sync/atomic"

const (
	// maxConnections bounds a process's connections if the limit of open files
	// allows more. An idle one takes about 25 KB of memory, and up to 46 KB if its
	// last header had 4 KB of short fields.
	maxConnections = 4096

	// otherFiles is the number of open files left to the rest of the process, such
	// as a store's 100 connections, and to servers with a bound of their own. It is at most
	// two thirds of the limit.
	otherFiles = 320

	// ownShare is the part of the limit of open files, an eighth, that a server with a bound
	// of its own may use, unless it serves few.
	ownShare = 8
	few      = 8

	// maxSpare bounds the connections beyond a server's bound. They serve health
	// checks, and refuse other requests.
	maxSpare = 16
)

// bound bounds the connections that a server serves at once.
type bound struct {
	connections int
	reason      string // why no more: the end of a sentence that has "as many as"
	attrs       []any  // for the log
}

// spare returns how many connections the server accepts beyond the bound.
func (b bound) spare() int { return min(maxSpare, max(1, b.connections/2)) }

func fixedBound(connections int) bound {
	return bound{connections: connections, reason: "this address serves"}
}

// ownBound returns the bound of a server that serves so many connections at most.
func ownBound(connections, files int) bound {
	if allowed := max(files/ownShare, few); allowed < connections {
		return bound{allowed, "the limit of open files allows", []any{"open_files_limit", files}}
	}
	return fixedBound(connections)
}

// sharing counts the servers that share the limit of open files.
var sharing atomic.Int64

// sharedBound returns the bound of each of the servers that share the limit of
// open files.
func sharedBound(files, servers int) bound {
	servers = max(1, servers)
	each := (files-min(otherFiles, files*2/3))/servers - 1 // 1 for the connection that Accept returns next
	allowed := max(1, each-min(maxSpare, max(1, each/3)))
	if most := maxConnections / servers; most <= allowed {
		return fixedBound(most)
	}
	return bound{allowed, "the limit of open files allows", []any{"open_files_limit", files}}
}
