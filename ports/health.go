package ports

import "context"

// Pinger is what stands behind readiness: an adapter that has a server behind
// it says whether it does its work.
type Pinger interface {
	// Ping returns nil if the server does its work now. One that answers, but
	// refuses the login or a right, does not.
	Ping(ctx context.Context) error
}
