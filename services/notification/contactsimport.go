package notification

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/actions"
)

const (
	maxBadFields = 100 // that BadFileError lists
	importBatch  = 500 // contacts in a write
)

// BadFileError is returned when lines of a file of contacts are wrong.
type BadFileError struct {
	Fields []BadField // the first 100, by line
	Count  int        // of all
}

// BadField is a wrong field in a file of contacts. Its text has no address.
type BadField struct {
	Line   int    // from 1
	Field  string // the column; empty: the line as a whole
	Reason string
}

func (e *BadFileError) Error() string {
	return fmt.Sprintf("the file has %d faults, so nothing was written; the first is %v", e.Count, e.Fields[0])
}

func (f BadField) String() string {
	if f.Field == "" {
		return fmt.Sprintf("line %d: it %s", f.Line, f.Reason)
	}
	return fmt.Sprintf("line %d: %s %s", f.Line, f.Field, f.Reason)
}

func (e *BadFileError) add(line int, field, reason string) {
	e.Count++
	if len(e.Fields) < maxBadFields {
		e.Fields = append(e.Fields, BadField{line, field, reason})
	}
}

// ImportProgress counts an import's contacts. Import checks all lines before it writes the
// first contact.
type ImportProgress struct{ Checked, Written int }

// Import stores the contacts of a file, each in place of its user's earlier one, and
// returns how many it has written. Other users' contacts stay. It reads the file twice,
// and calls progress, which may be nil, after each batch.
//
// [*BadFileError] is returned when lines are wrong; then nothing was written. After any
// other error the contacts that were written stay, and Import may be repeated. It reads
// at most 1,000,001 lines, and needs about 50 bytes of memory for each.
func (c *Control) Import(
	ctx context.Context, file io.ReadSeeker, by string, progress func(ImportProgress),
) (written int, err error) {
	if progress == nil {
		progress = func(ImportProgress) {}
	}
	start, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, fmt.Errorf("import contacts: the file must be seekable, because it is read twice: %w", err)
	}
	var done ImportProgress
	bad := new(BadFileError)
	seen := newSeenUsers()
	err = c.readContacts(ctx, file, bad, func(line int, contact ports.Contact) error {
		if first := seen.add(contact.UserID, line); first != 0 {
			bad.add(line, userColumn, fmt.Sprintf("is on line %d, too", first))
		}
		if done.Checked++; done.Checked%importBatch == 0 {
			progress(done)
		}
		return nil
	})
	switch {
	case err != nil:
		return 0, fmt.Errorf("import contacts: %w; nothing was written", err)
	case bad.Count > 0:
		return 0, bad
	}
	progress(done)

	if _, err := file.Seek(start, io.SeekStart); err != nil {
		return 0, fmt.Errorf("import contacts: read the file again: %w; nothing was written", err)
	}
	entry := actions.Entry{Action: actions.Import, By: by, Target: fmt.Sprintf("a file of %d contacts", done.Checked)}
	err = c.journal.Do(ctx, entry, func(ctx context.Context) (int, error) {
		err := c.importContacts(ctx, file, bad, &done, progress)
		c.log.InfoContext(ctx, "contacts imported", "written", done.Written, "of", done.Checked, "by", by)
		if err != nil {
			err = fmt.Errorf("import contacts: %w; %d of %d contacts were written, and maybe some of the next %d; "+
				"import the file again, which is safe", err, done.Written, done.Checked, importBatch)
		}
		return done.Written, err
	})
	return done.Written, err
}

// importContacts writes the contacts of the file, which was checked before.
func (c *Control) importContacts(ctx context.Context, file io.Reader, bad *BadFileError, done *ImportProgress, progress func(ImportProgress)) error {
	var batch []ports.Contact
	write := func() error {
		if len(batch) == 0 {
			return nil
		}
		if err := c.store.Contacts.Put(ctx, batch...); err != nil {
			return err
		}
		done.Written += len(batch)
		batch = batch[:0]
		progress(*done)
		return nil
	}
	updatedAt := now()
	err := c.readContacts(ctx, file, bad, func(_ int, contact ports.Contact) error {
		contact.UpdatedAt = updatedAt
		if batch = append(batch, contact); len(batch) < importBatch {
			return nil
		}
		return write()
	})
	if err == nil {
		err = write()
	}
	if err == nil && (bad.Count > 0 || done.Written != done.Checked) {
		err = errors.New("the file has changed since it was checked")
	}
	return err
}

// seenUsers finds users that a file has twice. It keeps 128-bit hashes instead of ids,
// which take up to 512 bytes.
type seenUsers struct {
	seeds [2]maphash.Seed
	lines map[[2]uint64]uint32
}

func newSeenUsers() *seenUsers {
	return &seenUsers{[2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}, make(map[[2]uint64]uint32)}
}

// add returns the earlier line of the user, or 0.
func (s *seenUsers) add(userID string, line int) (first int) {
	key := [2]uint64{maphash.String(s.seeds[0], userID), maphash.String(s.seeds[1], userID)}
	if first, ok := s.lines[key]; ok {
		return int(first)
	}
	s.lines[key] = uint32(line)
	return 0
}
