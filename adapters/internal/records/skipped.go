// Package records has what stores share about their records: texts of a bounded length,
// and the log of records that a call can't read.
package records

import (
	"context"
	"log/slog"
)

// Skipped are the unreadable records of a call.
type Skipped struct {
	Count int
	ids   []string // the first maxNamed
	fault error    // of the first
}

const maxNamed = 16

// Add adds the record with this id, which may be empty.
func (s *Skipped) Add(id string, fault error) {
	if s.Count++; s.Count == 1 {
		s.fault = fault
	}
	if id != "" && len(s.ids) < maxNamed {
		s.ids = append(s.ids, id)
	}
}

// Log writes one line, whatever the count. kind and name say where the records are, such
// as the table orders.
func (s *Skipped) Log(ctx context.Context, log *slog.Logger, kind, name string) {
	if s.Count == 0 {
		return
	}
	log.WarnContext(ctx, "unreadable records skipped", kind, name, "count", s.Count, "ids", s.ids, "first", s.fault)
}
