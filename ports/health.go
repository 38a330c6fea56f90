package ports

import "context"

// Pinger is what stands behind readiness: an adapter that has a server behind
// it says whether it answers.
type Pinger interface {
	// Ping returns nil if the server answers now.
	Ping(ctx context.Context) error
}
