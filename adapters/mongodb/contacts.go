package mongodb

import (
	"context"
	"errors"

	"example.com/orderflow/ports"
)

// Contacts keeps users' contacts.
type Contacts struct{ store *Store }

var _ ports.Contacts = (*Contacts)(nil)

func (c *Contacts) Get(ctx context.Context, userID string) (ports.Contact, error) {
	return ports.Contact{}, errors.ErrUnsupported
}

func (c *Contacts) Put(ctx context.Context, contacts ...ports.Contact) error {
	return errors.ErrUnsupported
}

func (c *Contacts) Delete(ctx context.Context, userID string) error { return errors.ErrUnsupported }

func (c *Contacts) List(ctx context.Context, limit int, cursor string) (ports.ContactPage, error) {
	return ports.ContactPage{}, errors.ErrUnsupported
}

// Contacts returns the users' contacts.
func (s *Store) Contacts() *Contacts { return &s.parts.contacts }
