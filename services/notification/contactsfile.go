package notification

import (
	"bufio"
	"context"
	"errors"
	"fmt"
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

// readContacts calls each with every valid contact of the file, and adds the faults of
// the other lines to bad. It returns the errors of each, of reading, and of ctx.
func (c *Control) readContacts(
	ctx context.Context, file io.Reader, bad *BadFileError, each func(line int, contact ports.Contact) error,
) error {
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
				return nil // without columns, the lines can't be read
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
			bad.add(line, quoteName(name), "names a column twice")
		} else if !slices.Contains(otherColumns, name) {
			if reason := c.checkAddressed(name); reason != "" {
				bad.add(line, quoteName(name), reason+"; other columns: "+strings.Join(otherColumns, ", "))
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

// lineReader reads the lines of a CSV file. Unlike encoding/csv, it bounds their length,
// and goes on after a faulty one.
type lineReader struct {
	in     *bufio.Reader
	number int // of the latest line
	fields []string
}

const (
	maxLine  = 128 << 10 // bytes; the largest contact is shorter
	maxLines = 1_000_001
)

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
