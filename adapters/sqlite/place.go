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
	info, err := os.Lstat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file; delete it while no process uses the database", path)
	}
	return place{path, info}, err
}

// checkInPlace returns an error if the database, its log or this process's lock was
// deleted, renamed or replaced. What a process writes to a deleted file is lost with it,
// so the store does not work again after that.
func (s *Store) checkInPlace() error {
	if err := s.lost(); err != nil || runtime.GOOS == "windows" { // it protects open files
		return err
	}
	for i, p := range s.places {
		info, err := os.Lstat(p.path)
		switch {
		case errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(info, p.info):
			err = fmt.Errorf("%w: %s was deleted, moved or replaced while it was in use; put it back if you can, and restart", ports.ErrUnavailable, p.path)
			s.loss.CompareAndSwap(nil, &err)
			return s.lost()
		case err != nil:
			return s.file.classify(err)
		case i == 0:
			s.noteLinks(linksIn(info))
		}
	}
	return nil
}

// noteLinks warns once when the database gets another name. No store opens it by that
// one, but another program may.
func (s *Store) noteLinks(n uint64) {
	if linked := n > 1; s.linked.Swap(linked) != linked && linked {
		s.options.Logger.Warn("the file got another name (hard link); a program that opens it by that one destroys it, and no service starts on it: remove that name, and make copies with the command backup",
			"file", s.file.path, "names", n)
	}
}

// lost returns the error of a store whose files are not in their place.
func (s *Store) lost() error {
	if err := s.loss.Load(); err != nil {
		return *err
	}
	return nil
}
