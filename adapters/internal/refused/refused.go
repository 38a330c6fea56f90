// Package refused marks errors that last until a person changes something.
package refused

import "example.com/orderflow/ports"

// Error returns an error with the text of err that wraps it, [ports.ErrUnavailable] and
// [ports.ErrRefused].
func Error(err error) error { return refusal{err} }

type refusal struct{ error }

func (r refusal) Unwrap() []error {
	return []error{r.error, ports.ErrUnavailable, ports.ErrRefused}
}
