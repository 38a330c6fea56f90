package sqlite

import (
	"fmt"

	"example.com/orderflow/ports"
)

// classify returns the error of SQLite as the ports define it, with the file's name
// and the way out.
func (f file) classify(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %s: %w", ports.ErrUnavailable, f.path, err)
}
