//go:build !linux

package sqlite

import "errors"

func renameNew(_, _ string) error { return errors.ErrUnsupported }
