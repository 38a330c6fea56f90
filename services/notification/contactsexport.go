package notification

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strings"

	"example.com/orderflow/ports"
)

// ExportReport says what an export has written, and what it has left out.
type ExportReport struct {
	Written    int
	Unreadable int            // contacts that can't be read
	LeftOut    map[string]int // addresses and entries of Off for channels that are not configured, by channel
}

// Export writes all contacts, by user id, as a file that Import reads. It writes values
// unchanged: a spreadsheet takes one that begins with =, +, - or @ as a formula.
//
// The file has a column for each configured channel with addresses. Export leaves out
// what is stored for other channels, and counts it.
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

// row returns the contact's fields. It adds what has no column to leftOut.
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
