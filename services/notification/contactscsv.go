package notification

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"strings"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// A file of contacts is CSV (RFC 4180) in UTF-8, with one line for a user and without
// line breaks in its fields. Its first line names the columns, in any order:
//
//   - user_id, which is required
//   - language, a language tag such as de; may be empty
//   - a channel's name: the user's address for the channel; may be empty
//   - off: the channels that the user does not want, separated by spaces
const (
	userColumn     = "user_id"
	languageColumn = "language"
	offColumn      = "off"
)

var otherColumns = []string{userColumn, languageColumn, offColumn}

const (
	maxLines     = 1_000_001 // of a file
	maxBadFields = 100       // that BadFileError lists
	importBatch  = 500       // contacts in a write
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
	return fmt.Sprintf("the file has %d faults, so nothing was written; the first is in %v", e.Count, e.Fields[0])
}

func (f BadField) String() string {
	if f.Field == "" {
		return fmt.Sprintf("line %d, which %s", f.Line, f.Reason)
	}
	return fmt.Sprintf("line %d: %s %s", f.Line, f.Field, f.Reason)
}

func (e *BadFileError) add(line int, field, reason string) {
	e.Count++
	if len(e.Fields) < maxBadFields {
		e.Fields = append(e.Fields, BadField{line, field, reason})
	}
}

// ImportProgress says how far an import has come. All lines are checked before the
// first contact is written.
type ImportProgress struct{ Checked, Written int }

// Import stores the contacts of a file, each in place of its user's earlier one, and
// returns how many it has written. Other users' contacts stay. It reads the file
// twice, and calls progress, which may be nil, now and then.
//
// [*BadFileError] is returned when lines are wrong; then nothing was written. After
// any other error the contacts that were written stay, and Import may be repeated. It
// takes at most 1,000,000 contacts, and some 50 bytes of memory for each.
func (c *Control) Import(ctx context.Context, file io.ReadSeeker, by string, progress func(ImportProgress)) (written int, err error) {
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
		progress(done)
		return nil
	}
	updatedAt := now()
	err = c.readContacts(ctx, file, bad, func(_ int, contact ports.Contact) error {
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
	c.log.InfoContext(ctx, "contacts imported", "written", done.Written, "of", done.Checked, "by", by)
	if err != nil {
		return done.Written, fmt.Errorf("import contacts: %w; %d of %d contacts were written, some of the next %d may be, too: import the file again, which is safe",
			err, done.Written, done.Checked, importBatch)
	}
	return done.Written, nil
}

// readContacts calls each with the contacts of the file, and adds the faults of the
// others to bad. It returns the errors of each, of reading, and of ctx.
func (c *Control) readContacts(ctx context.Context, file io.Reader, bad *BadFileError, each func(line int, contact ports.Contact) error) error {
	lines := newLineReader(file)
	var columns []string
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		fields, fault, err := lines.next()
		switch {
		case err == io.EOF && columns == nil:
			bad.add(1, "", "must name the columns: the file is empty")
			return nil
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("read line %d: %w", lines.number, err)
		case columns == nil:
			before := bad.Count
			if fault != "" {
				bad.add(lines.number, "", fault)
			} else {
				c.checkColumns(lines.number, fields, bad)
			}
			if bad.Count > before {
				return nil // nobody knows what the lines mean
			}
			columns = slices.Clone(fields)
			continue
		case fault == "" && len(fields) != len(columns):
			fault = fmt.Sprintf("has %d fields; the first line has %d columns", len(fields), len(columns))
		}
		if fault != "" {
			bad.add(lines.number, "", fault)
			continue
		}
		contact, err := c.checkContact(contactOf(columns, fields))
		var invalid *domain.InvalidError
		if errors.As(err, &invalid) {
			for _, field := range invalid.Fields {
				bad.add(lines.number, strings.TrimPrefix(field.Field, "addresses."), field.Reason)
			}
			continue
		}
		if err := each(lines.number, contact); err != nil {
			return err
		}
	}
}

// checkColumns adds the faults of the first line.
func (c *Control) checkColumns(line int, columns []string, bad *BadFileError) {
	if len(columns) == 1 && strings.Contains(columns[0], ";") {
		bad.add(line, "", "must separate the columns by commas, not by semicolons")
		return
	}
	for i, name := range columns {
		if slices.Contains(columns[:i], name) {
			bad.add(line, shown(name), "names a column twice")
		} else if !slices.Contains(otherColumns, name) {
			if reason := c.checkAddressed(name); reason != "" {
				bad.add(line, shown(name), reason+"; other columns: "+strings.Join(otherColumns, ", "))
			}
		}
	}
	if !slices.Contains(columns, userColumn) {
		bad.add(line, userColumn, "is missing: the first line must name the columns")
	}
}

func contactOf(columns, fields []string) ports.Contact {
	var contact ports.Contact
	for i, value := range fields {
		switch column := columns[i]; {
		case column == userColumn:
			contact.UserID = value
		case column == languageColumn:
			contact.Language = value
		case column == offColumn:
			contact.Off = strings.Fields(value)
		case value != "":
			if contact.Addresses == nil {
				contact.Addresses = make(map[string]string)
			}
			contact.Addresses[column] = value
		}
	}
	return contact
}

// seenUsers finds users that a file has twice. It keeps 128-bit hashes, because ids
// take up to 512 bytes.
type seenUsers struct {
	seeds [2]maphash.Seed
	lines map[[2]uint64]uint32
}

func newSeenUsers() *seenUsers {
	return &seenUsers{[2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}, make(map[[2]uint64]uint32)}
}

// add returns the line on which the user was before, or 0.
func (s *seenUsers) add(userID string, line int) (first int) {
	key := [2]uint64{maphash.String(s.seeds[0], userID), maphash.String(s.seeds[1], userID)}
	if first, ok := s.lines[key]; ok {
		return int(first)
	}
	s.lines[key] = uint32(line)
	return 0
}

// ExportReport says what an export has written, and what it has left out.
type ExportReport struct {
	Written    int
	Unreadable int            // contacts that can't be read
	LeftOut    map[string]int // addresses and wishes, by channels that are not configured
}

// Export writes all contacts as a file that Import reads, by user id. It writes values
// as they are: a spreadsheet takes one that begins with =, +, - or @ as a formula.
//
// The file has a column for each configured channel with addresses. What is stored
// for other channels is left out, and counted.
func (c *Control) Export(ctx context.Context, w io.Writer) (ExportReport, error) {
	report := ExportReport{LeftOut: make(map[string]int)}
	columns := []string{userColumn, languageColumn}
	for _, channel := range c.channels {
		if channel.Addressed != nil {
			columns = append(columns, channel.Name)
		}
	}
	columns = append(columns, offColumn)
	out := csv.NewWriter(w)
	if err := out.Write(columns); err != nil {
		return report, fmt.Errorf("export contacts: %w", err)
	}
	for cursor := ""; ; {
		page, err := c.store.Contacts.List(ctx, importBatch, cursor)
		if err != nil {
			return report, fmt.Errorf("export contacts, after %d: %w", report.Written, err)
		}
		report.Unreadable += page.Unreadable
		for _, contact := range page.Contacts {
			if err := out.Write(c.row(contact, columns, report.LeftOut)); err != nil {
				return report, fmt.Errorf("export contacts, after %d: %w", report.Written, err)
			}
			report.Written++
		}
		if out.Flush(); out.Error() != nil {
			return report, fmt.Errorf("export contacts: %w", out.Error())
		}
		if page.NextCursor == "" {
			return report, nil
		}
		cursor = page.NextCursor
	}
}

// row returns the contact's fields, and counts what has no column.
func (c *Control) row(contact ports.Contact, columns []string, leftOut map[string]int) []string {
	var off []string
	for _, name := range contact.Off {
		if c.checkAddressed(name) == "" {
			off = append(off, name)
		} else {
			leftOut[name]++
		}
	}
	row := make([]string, len(columns))
	for i, column := range columns {
		switch column {
		case userColumn:
			row[i] = contact.UserID
		case languageColumn:
			row[i] = contact.Language
		case offColumn:
			row[i] = strings.Join(off, " ")
		default:
			row[i] = contact.Addresses[column]
		}
	}
	for name := range contact.Addresses {
		if !slices.Contains(columns, name) {
			leftOut[name]++
		}
	}
	return row
}

// lineReader reads the lines of a CSV file. Unlike encoding/csv, it bounds their
// length, and goes on after a wrong one.
type lineReader struct {
	in     *bufio.Reader
	number int // of the latest line
	fields []string
}

// maxLine is the longest line, in bytes: more than every contact takes.
const maxLine = 128 << 10

func newLineReader(r io.Reader) *lineReader {
	return &lineReader{in: bufio.NewReaderSize(r, maxLine)}
}

// next returns the fields of the next line that is not empty, or the line's fault.
// The caller must not keep the slice.
func (r *lineReader) next() (fields []string, fault string, err error) {
	for {
		r.number++
		line, err := r.in.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			for err == bufio.ErrBufferFull {
				_, err = r.in.ReadSlice('\n')
			}
			if err != nil && err != io.EOF {
				return nil, "", err
			}
			return nil, fmt.Sprintf("is longer than %d bytes", maxLine), nil
		}
		if err != nil && (err != io.EOF || len(line) == 0) {
			return nil, "", err
		}
		if r.number > maxLines {
			return nil, "", fmt.Errorf("the file has more than %d lines; import it in parts", maxLines)
		}
		text := strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r")
		if r.number == 1 {
			text = strings.TrimPrefix(text, "\ufeff") // spreadsheets write it
		}
		if text != "" {
			r.fields, fault = splitLine(r.fields[:0], text)
			return r.fields, fault, nil
		}
	}
}

// splitLine appends the fields of a line of CSV, or returns its fault.
func splitLine(fields []string, line string) (_ []string, fault string) {
	for {
		var field string
		if strings.HasPrefix(line, `"`) {
			rest := line[1:]
			var b strings.Builder
			for {
				part, after, closed := strings.Cut(rest, `"`)
				if !closed {
					return fields, "has a quoted field that does not end on the line"
				}
				b.WriteString(part)
				rest = after
				if !strings.HasPrefix(rest, `"`) {
					break
				}
				b.WriteByte('"')
				rest = rest[1:]
			}
			field, line = b.String(), rest
			if line != "" && line[0] != ',' {
				return fields, "has a quoted field that goes on after its quotes"
			}
		} else {
			end := strings.IndexByte(line, ',')
			if end < 0 {
				end = len(line)
			}
			field, line = line[:end], line[end:]
			if strings.Contains(field, `"`) {
				return fields, "has a quote in a field without quotes; write it twice, and the field in quotes"
			}
		}
		fields = append(fields, field)
		if line == "" {
			return fields, ""
		}
		line = line[1:]
	}
}
