package memory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"example.com/orderflow/adapters/internal/cursor"
	"example.com/orderflow/ports"
)

// Contacts keeps users' contacts.
type Contacts struct {
	mu     sync.Mutex
	byUser map[string]ports.Contact
	sorted timeline[userID]
}

var _ ports.Contacts = (*Contacts)(nil)

type userID string

// Before reports whether the id comes before the other, byte by byte.
func (id userID) Before(other userID) bool { return id < other }

// Get returns the user's contact.
func (c *Contacts) Get(ctx context.Context, user string) (ports.Contact, error) {
	if err := ctx.Err(); err != nil {
		return ports.Contact{}, fmt.Errorf("get contact of %s: %w", user, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	contact, ok := c.byUser[user]
	if !ok {
		return ports.Contact{}, fmt.Errorf("get contact of %s: %w", user, ports.ErrNotFound)
	}
	return cloneContact(contact), nil
}

// Put stores the contacts.
func (c *Contacts) Put(ctx context.Context, contacts ...ports.Contact) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("put %d contacts: %w", len(contacts), err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byUser == nil {
		c.byUser = make(map[string]ports.Contact)
	}
	for _, contact := range contacts {
		if _, ok := c.byUser[contact.UserID]; !ok {
			c.sorted.add(userID(contact.UserID))
		}
		c.byUser[contact.UserID] = cloneContact(contact)
	}
	return nil
}

// Delete deletes the user's contact.
func (c *Contacts) Delete(ctx context.Context, user string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("delete contact of %s: %w", user, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.byUser[user]; !ok {
		return fmt.Errorf("delete contact of %s: %w", user, ports.ErrNotFound)
	}
	delete(c.byUser, user)
	c.sorted.remove(userID(user))
	return nil
}

// List returns one page of contacts, by user.
func (c *Contacts) List(ctx context.Context, limit int, after string) (ports.ContactPage, error) {
	if err := ctx.Err(); err != nil {
		return ports.ContactPage{}, fmt.Errorf("list contacts: %w", err)
	}
	limit = min(max(limit, 1), ports.MaxListLimit)
	c.mu.Lock()
	defer c.mu.Unlock()
	users := c.sorted.all()
	if after != "" {
		last, err := cursor.DecodeUser(after)
		if err != nil {
			return ports.ContactPage{}, fmt.Errorf("list contacts: %w", err)
		}
		users = c.sorted.after(userID(last))
	}
	var page ports.ContactPage
	for user := range users {
		if len(page.Contacts) == limit {
			page.NextCursor = cursor.EncodeUser(page.Contacts[limit-1].UserID)
			break
		}
		page.Contacts = append(page.Contacts, cloneContact(c.byUser[string(user)]))
	}
	return page, nil
}

func cloneContact(c ports.Contact) ports.Contact {
	c.Addresses, c.Off = maps.Clone(c.Addresses), slices.Clone(c.Off)
	return c
}
