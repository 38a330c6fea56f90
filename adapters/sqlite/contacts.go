package sqlite

import (
	"context"
	"errors"

	"example.com/orderflow/ports"
)

// Contacts keeps users' contacts.
type Contacts struct{ store *Store }

var _ ports.Contacts = (*Contacts)(nil)

// Contacts returns the part.
func (s *Store) Contacts() *Contacts { return &s.parts.contacts }

func (*Contacts) Get(context.Context, string) (ports.Contact, error) {
	return ports.Contact{}, errors.ErrUnsupported
}

func (*Contacts) Put(context.Context, ...ports.Contact) error { return errors.ErrUnsupported }

func (*Contacts) Delete(context.Context, string) error { return errors.ErrUnsupported }

func (*Contacts) List(context.Context, int, string) (ports.ContactPage, error) {
	return ports.ContactPage{}, errors.ErrUnsupported
}
