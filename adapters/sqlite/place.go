package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"

	"example.com/orderflow/ports"
)

// place is a file that this process holds open, as it was at the start.
type place struct {
	path string
	info fs.FileInfo
}

func placeOf(path string) (place, error) {
	info, err := os.Stat(path)
	return place{path, info}, err
}

// checkInPlace returns an error if the database, its log or this process's lock was
// deleted, renamed or replaced. What a process writes to a deleted file is lost with it,
// so the store does not work again after that.
func (s *Store) checkInPlace() error {
	if err := s.lost(); err != nil || runtime.GOOS == "windows" { // it protects open files
		return err
	}
	for _, p := range s.places {
		info, err := os.Stat(p.path)
		switch {
		case errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(info, p.info):
			err = fmt.Errorf("%w: %s was deleted, moved or replaced while it was in use; put it back if you can, and restart", ports.ErrUnavailable, p.path)
			s.loss.CompareAndSwap(nil, &err)
			return s.lost()
		case err != nil:
			return s.file.classify(err)
		}
	}
	return nil
}

// lost returns the error of a store whose files are not in their place.
func (s *Store) lost() error {
	if err := s.loss.Load(); err != nil {
		return *err
	}
	return nil
}
