package sqlite

import (
	"context"
	"encoding/json"
	"fmt"

	"example.com/orderflow/adapters/internal/cursor"
	"example.com/orderflow/ports"
)

// Contacts keeps users' contacts.
type Contacts struct{ store *Store }

var _ ports.Contacts = (*Contacts)(nil)

// Contacts returns the part.
func (s *Store) Contacts() *Contacts { return &s.parts.contacts }

// Get returns the user's contact. See [ports.Contacts].
func (c *Contacts) Get(ctx context.Context, userID string) (contact ports.Contact, err error) {
	defer describe(&err, "get contact of user %s", userID)
	err = c.store.read(ctx, func(tx *tx) (err error) {
		contact, err = readOne(tx, readContact, selectContacts+" WHERE user_id = ?", userID)
		return err
	})
	return contact, err
}

// Put stores the contacts, all or none. See [ports.Contacts].
func (c *Contacts) Put(ctx context.Context, contacts ...ports.Contact) (err error) {
	defer describe(&err, "put %d contacts", len(contacts))
	if len(contacts) > ports.MaxListLimit {
		return fmt.Errorf("%d are too many at once, the limit is %d", len(contacts), ports.MaxListLimit)
	}
	rows := make([][]any, len(contacts))
	for i, contact := range contacts {
		addresses, err := json.Marshal(contact.Addresses)
		if err != nil {
			return err
		}
		off, err := json.Marshal(contact.Off)
		if err != nil {
			return err
		}
		rows[i] = []any{contact.UserID, contact.Language, string(addresses), string(off), contact.UpdatedAt.UnixMilli()}
	}
	return c.store.write(ctx, durable, func(tx *tx) error {
		return tx.overwriting(func() error {
			for _, row := range rows {
				if _, err := tx.exec("INSERT OR REPLACE INTO contacts (user_id, language, addresses, off, updated_at) VALUES (?, ?, ?, ?, ?)", row...); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// Delete deletes the user's contact. See [ports.Contacts].
func (c *Contacts) Delete(ctx context.Context, userID string) (err error) {
	defer describe(&err, "delete contact of user %s", userID)
	return c.store.write(ctx, durable, func(tx *tx) error {
		return tx.overwriting(func() error {
			deleted, err := tx.exec("DELETE FROM contacts WHERE user_id = ?", userID)
			if err == nil && deleted == 0 {
				err = ports.ErrNotFound
			}
			return err
		})
	})
}

// List returns one page of the contacts. See [ports.Contacts].
func (c *Contacts) List(ctx context.Context, limit int, after string) (page ports.ContactPage, err error) {
	defer describe(&err, "list contacts")
	var where filter
	if after != "" {
		user, err := cursor.DecodeUser(after)
		if err != nil {
			return page, err
		}
		where.add("user_id > ?", user)
	}
	found, err := readPage(ctx, c.store, "contacts", limit, readContact, selectContacts+where.sql()+" ORDER BY user_id", where.args...)
	if err != nil {
		return page, err
	}
	page.Contacts, page.Unreadable = found.records, found.skipped.Count
	if found.more {
		page.NextCursor = cursor.EncodeUser(found.last().UserID)
	}
	return page, nil
}

const selectContacts = "SELECT user_id, language, addresses, off, updated_at FROM contacts"

// readContact reads a row of selectContacts.
func readContact(r row) (ports.Contact, error) {
	fields := record{row: r, id: r.ColumnText(0)}
	c := ports.Contact{UserID: fields.id, Language: r.ColumnText(1), UpdatedAt: fields.date(4, "updated_at")}
	fields.json(2, "addresses", &c.Addresses)
	fields.json(3, "off", &c.Off)
	if fields.err != nil {
		return ports.Contact{}, fields.err
	}
	return c, nil
}
