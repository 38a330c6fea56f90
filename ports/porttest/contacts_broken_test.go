package porttest_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

func TestContactsClauses(t *testing.T) {
	checkSuite(t, porttest.ContactsClauses(), faultyAddresses(func(*faultyContacts) {}), slices.Concat(brokenContacts(), brokenContactLists()))
}

// faultyContacts is a store of contacts with functions instead of methods. A row
// replaces one of them, and calls the store's own method through whole.
type faultyContacts struct {
	whole *memory.Contacts
	get   func(ctx context.Context, userID string) (ports.Contact, error)
	put   func(ctx context.Context, contacts ...ports.Contact) error
	del   func(ctx context.Context, userID string) error
	list  func(ctx context.Context, query contactPage) (ports.ContactPage, error)
}

// contactPage has the arguments of List.
type contactPage struct {
	limit  int
	cursor string
}

func (f *faultyContacts) Get(ctx context.Context, userID string) (ports.Contact, error) {
	return f.get(ctx, userID)
}

func (f *faultyContacts) Put(ctx context.Context, contacts ...ports.Contact) error {
	return f.put(ctx, contacts...)
}

func (f *faultyContacts) Delete(ctx context.Context, userID string) error { return f.del(ctx, userID) }

func (f *faultyContacts) List(ctx context.Context, limit int, cursor string) (ports.ContactPage, error) {
	return f.list(ctx, contactPage{limit, cursor})
}

// faultyAddresses makes a store of contacts that breakIt breaks.
func faultyAddresses(breakIt func(f *faultyContacts)) func() porttest.Contacts {
	return func() porttest.Contacts {
		whole := new(memory.Contacts)
		f := &faultyContacts{whole, whole.Get, whole.Put, whole.Delete, func(ctx context.Context, query contactPage) (ports.ContactPage, error) {
			return whole.List(ctx, query.limit, query.cursor)
		}}
		breakIt(f)
		return porttest.Contacts{Contacts: f, Other: f}
	}
}

// puttingContacts makes a store whose Put keeps changed contacts.
func puttingContacts(change func(f *faultyContacts, contact *ports.Contact)) func() porttest.Contacts {
	return faultyAddresses(func(f *faultyContacts) {
		f.put = func(ctx context.Context, contacts ...ports.Contact) error {
			changed := slices.Clone(contacts)
			for i := range changed {
				changed[i].Addresses = maps.Clone(changed[i].Addresses)
				change(f, &changed[i])
			}
			return f.whole.Put(ctx, changed...)
		}
	})
}

func changingContacts(change func(contact *ports.Contact)) func() porttest.Contacts {
	return puttingContacts(func(_ *faultyContacts, contact *ports.Contact) { change(contact) })
}

func brokenContacts() []broken[porttest.Contacts] {
	const (
		fields   = "Put keeps contacts, and Get returns them with every field as it was put"
		replaces = "Put replaces the user's whole contact, and changes no other user's"
		most     = "Put takes MaxListLimit contacts, known and unknown, and none"
		callers  = "Put of one user by many callers keeps the whole contact of one of them"
		shares   = "Put, Get and List of contacts share no memory with their caller"
		unknown  = "Get of an unknown user returns ErrNotFound"
		deletes  = "Delete deletes the user's contact, and no other user's"
		missing  = "Delete of an unknown user returns ErrNotFound"
		every    = "every clause that reads a contact"
		repeats  = "other clauses put a user again"
	)
	return []broken[porttest.Contacts]{
		{"a contact loses its language", fields, every, changingContacts(func(c *ports.Contact) { c.Language = "" })},

		{"a channel's name is cut at its dot", fields, "other clauses list the same contacts", changingContacts(func(c *ports.Contact) {
			for _, name := range slices.Sorted(maps.Keys(c.Addresses)) {
				if before, _, dotted := strings.Cut(name, "."); dotted {
					c.Addresses[before] = c.Addresses[name]
					delete(c.Addresses, name)
				}
			}
		})},
		{"an empty address is dropped", fields, "other clauses list the same contacts", changingContacts(func(c *ports.Contact) {
			maps.DeleteFunc(c.Addresses, func(_, address string) bool { return address == "" })
		})},
		{"UpdatedAt is to the second", fields, every, changingContacts(func(c *ports.Contact) { c.UpdatedAt = c.UpdatedAt.Truncate(time.Second) })},

		{"one channel can be off", fields, every, changingContacts(func(c *ports.Contact) { c.Off = c.Off[:min(len(c.Off), 1)] })},

		{"Put adds addresses to those before", replaces, "", faultyAddresses(func(f *faultyContacts) {
			f.put = func(ctx context.Context, contacts ...ports.Contact) error {
				if len(contacts) != 1 { // the clause of many callers puts several
					return f.whole.Put(ctx, contacts...)
				}
				c := contacts[0]
				before, err := f.whole.Get(ctx, c.UserID)
				if err != nil {
					return f.whole.Put(ctx, c)
				}
				for name, address := range before.Addresses {
					if c.Addresses == nil {
						c.Addresses = map[string]string{name: address}
					}
				}
				if len(c.Off) == 0 {
					c.Off = before.Off
				}
				return f.whole.Put(ctx, c)
			}
		})},
		{"Put leaves a contact that there is", replaces, repeats, faultyAddresses(func(f *faultyContacts) {
			f.put = func(ctx context.Context, contacts ...ports.Contact) error {
				return f.whole.Put(ctx, slices.DeleteFunc(slices.Clone(contacts), func(c ports.Contact) bool {
					_, err := f.whole.Get(ctx, c.UserID)
					return err == nil
				})...)
			}
		})},
		{"Put takes 500 contacts", most, "", faultyAddresses(func(f *faultyContacts) {
			f.put = func(ctx context.Context, contacts ...ports.Contact) error {
				if len(contacts) > 500 && strings.HasPrefix(contacts[0].Language, "fr") {
					return errors.New("put contacts: too many")
				}
				return f.whole.Put(ctx, contacts...)
			}
		})},
		{"Put of several callers mixes their contacts", callers, "", faultyAddresses(func(f *faultyContacts) {
			var mu sync.Mutex
			first := make(map[string]string) // each user's first webhook, which the later callers' contacts get, too
			f.put = func(ctx context.Context, contacts ...ports.Contact) error {
				if len(contacts) != 2 {
					return f.whole.Put(ctx, contacts...)
				}
				mu.Lock()
				defer mu.Unlock()
				c := contacts[0]
				c.Addresses = maps.Clone(c.Addresses)
				if webhook, ok := first[c.UserID]; ok {
					c.Addresses["webhook"] = webhook
				}
				first[c.UserID] = c.Addresses["webhook"]
				return f.whole.Put(ctx, c, contacts[1])
			}
		})},
		{"Put keeps the caller's addresses", shares, "", faultyAddresses(func(f *faultyContacts) {
			var kept shared[string, map[string]string]
			var mu sync.Mutex
			f.put = func(ctx context.Context, contacts ...ports.Contact) error {
				mu.Lock() // several callers' contacts must not mix
				defer mu.Unlock()
				for _, c := range contacts {
					kept.set(c.UserID, c.Addresses)
				}
				return f.whole.Put(ctx, contacts...)
			}
			changeResult(&f.get, func(c *ports.Contact, userID string) {
				if addresses, ok := kept.get(userID); ok {
					c.Addresses = maps.Clone(addresses)
				}
			})
		})},
		{"List returns its own addresses", shares, "", faultyAddresses(func(f *faultyContacts) {
			var first shared[string, ports.ContactPage]
			changeResult(&f.list, func(page *ports.ContactPage, _ contactPage) {
				if len(page.Contacts) == 1 && page.NextCursor == "" {
					*page, _ = first.once(page.Contacts[0].UserID, *page)
				}
			})
		})},
		{"Put puts contacts and then fails on an ended context", "Put with an ended context changes nothing", "", faultyAddresses(func(f *faultyContacts) { checkContextLast(&f.put) })},

		{"Get finds users in any case", unknown, "another clause deletes a user that differs in case", faultyAddresses(func(f *faultyContacts) {
			f.get = func(ctx context.Context, userID string) (ports.Contact, error) {
				contact, err := f.whole.Get(ctx, userID)
				if errors.Is(err, ports.ErrNotFound) {
					return f.whole.Get(ctx, strings.ToLower(userID))
				}
				return contact, err
			}
		})},
		{"Get of an unknown user returns an empty contact", unknown, "other clauses get a user whose contact was deleted", faultyAddresses(func(f *faultyContacts) {
			f.get = func(ctx context.Context, userID string) (ports.Contact, error) {
				contact, err := f.whole.Get(ctx, userID)
				if errors.Is(err, ports.ErrNotFound) {
					return ports.Contact{UserID: userID}, nil
				}
				return contact, err
			}
		})},
		{"Get ignores its context", "Get with an ended context returns its error", "", faultyAddresses(func(f *faultyContacts) { ignoreContext(&f.get) })},

		{"Delete deletes users whose ids begin with the id", deletes, "", faultyAddresses(func(f *faultyContacts) {
			f.del = func(ctx context.Context, userID string) error {
				err := f.whole.Delete(ctx, userID)
				page, _ := f.whole.List(ctx, ports.MaxListLimit, "")
				for _, c := range page.Contacts {
					if err == nil && strings.HasPrefix(c.UserID, userID) {
						err = f.whole.Delete(ctx, c.UserID)
					}
				}
				return err
			}
		})},
		{"Delete of an unknown user returns nil", missing, "", faultyAddresses(func(f *faultyContacts) {
			f.del = func(ctx context.Context, userID string) error {
				if err := f.whole.Delete(ctx, userID); !errors.Is(err, ports.ErrNotFound) {
					return err
				}
				return nil
			}
		})},
		{"Delete deletes and then fails on an ended context", "Delete with an ended context deletes nothing", "", faultyAddresses(func(f *faultyContacts) { checkContextLast(&f.del) })},
	}
}

func brokenContactLists() []broken[porttest.Contacts] {
	const (
		pages  = "List of contacts continues after the page before, for pages of any size"
		sorts  = "List sorts contacts by their users, byte by byte"
		steady = "List returns each contact that exists throughout once, while others are put and deleted"
		every  = "every clause that lists contacts"
	)
	listed := func(change func(page *ports.ContactPage, query contactPage)) func() porttest.Contacts {
		return faultyAddresses(func(f *faultyContacts) { changeResult(&f.list, change) })
	}
	return []broken[porttest.Contacts]{
		{"List of no contacts has another page", "List of no contacts is one empty page", "another clause lists none", listed(func(page *ports.ContactPage, query contactPage) {
			if len(page.Contacts) == 0 && query.cursor == "" {
				page.NextCursor = "more"
			}
		})},
		{"List repeats the last contact of the page before", pages, every, faultyAddresses(func(f *faultyContacts) {
			var ends shared[string, ports.Contact]
			changeResult(&f.list, func(page *ports.ContactPage, query contactPage) {
				if last, ok := ends.get(query.cursor); ok && query.cursor != "" && query.limit > 1 {
					page.Contacts = append([]ports.Contact{last}, page.Contacts[:min(len(page.Contacts), query.limit-1)]...)
				}
				if len(page.Contacts) > 0 {
					ends.set(page.NextCursor, page.Contacts[len(page.Contacts)-1])
				}
			})
		})},
		{"List of contacts counts unreadable ones", pages, every, listed(func(page *ports.ContactPage, _ contactPage) { page.Unreadable = len(page.Contacts) })},

		{"List of contacts uses 20 for a limit of 0", "List of contacts replaces a limit that is out of range by the nearer bound", "", faultyAddresses(func(f *faultyContacts) {
			changeArgument(&f.list, func(query *contactPage) {
				if query.limit < 1 {
					query.limit = 20
				}
			})
		})},
		{"List of contacts starts anew at an unknown cursor", "List of contacts refuses a cursor that it did not return", "", faultyAddresses(func(f *faultyContacts) {
			f.list = func(ctx context.Context, query contactPage) (ports.ContactPage, error) {
				page, err := f.whole.List(ctx, query.limit, query.cursor)
				if errors.Is(err, ports.ErrInvalidCursor) {
					return f.whole.List(ctx, query.limit, "")
				}
				return page, err
			}
		})},
		{"List sorts users in any case", sorts, "another clause lists users that differ in case", listed(func(page *ports.ContactPage, _ contactPage) {
			slices.SortStableFunc(page.Contacts, func(a, b ports.Contact) int {
				return strings.Compare(strings.ToLower(a.UserID), strings.ToLower(b.UserID))
			})
		})},
		{"List counts its pages from the first contact", steady, "", faultyAddresses(func(f *faultyContacts) {
			f.list = func(ctx context.Context, query contactPage) (ports.ContactPage, error) {
				all, err := everyPage(func(cursor string) ([]ports.Contact, string, error) {
					page, err := f.whole.List(ctx, ports.MaxListLimit, cursor)
					return page.Contacts, page.NextCursor, err
				})
				if err != nil {
					return ports.ContactPage{}, fmt.Errorf("list contacts: %w", err)
				}
				page, next, err := countedPage(all, query.limit, query.cursor)
				return ports.ContactPage{Contacts: page, NextCursor: next}, err
			}
		})},
		{"List of contacts ignores its context", "List of contacts with an ended context returns its error", "", faultyAddresses(func(f *faultyContacts) { ignoreContext(&f.list) })},
	}
}
