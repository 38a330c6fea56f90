package ports

import "context"

// Pinger reports whether the server behind an adapter works. Readiness checks
// call it.
type Pinger interface {
	// Ping returns nil if the server works now. It returns an error if the server
	// answers but refuses the login or a right.
	Ping(ctx context.Context) error
}
