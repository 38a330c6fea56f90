package porttest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"

	"example.com/orderflow/ports"
)

// contactQuery has the arguments of Contacts.List.
type contactQuery struct {
	Limit  int
	Cursor string
}

// sortedContacts returns the contacts in List's order.
func sortedContacts(all []ports.Contact) []ports.Contact {
	return slices.SortedFunc(slices.Values(all), func(a, b ports.Contact) int { return cmp.Compare(a.UserID, b.UserID) })
}

func listerOfContacts() lister[Contacts, contactQuery, ports.Contact] {
	return lister[Contacts, contactQuery, ports.Contact]{
		items:   "contacts",
		queries: []contactQuery{{}},
		with: func(_ contactQuery, limit int, cursor string) contactQuery {
			return contactQuery{Limit: limit, Cursor: cursor}
		},
		fill: func(t testing.TB, c Contacts, count int) []ports.Contact {
			var all []ports.Contact
			for n := range count {
				all = append(all, nthContact(n))
			}
			for part := range slices.Chunk(all, ports.MaxListLimit) {
				putContacts(t, c.Contacts, part...)
			}
			return sortedContacts(all)
		},
		page: func(ctx context.Context, c Contacts, query contactQuery) ([]ports.Contact, string, error) {
			page, err := c.Contacts.List(ctx, query.Limit, query.Cursor)
			if err == nil && page.Unreadable != 0 {
				err = fmt.Errorf("%d records count as unreadable, want 0", page.Unreadable)
			}
			return page.Contacts, page.NextCursor, err
		},
		check: checkContacts,
		id:    func(contact ports.Contact) string { return contact.UserID },
	}
}

// checkContacts fails t unless both processes list these contacts, in this order.
func checkContacts(t testing.TB, c Contacts, query contactQuery, want ...ports.Contact) {
	t.Helper()
	for _, store := range []ports.Contacts{c.Contacts, c.Other} {
		got := listerOfContacts().follow(t, Contacts{Contacts: store}, query, query.Limit, func() {})
		checkEqual(t, fmt.Sprintf("list contacts with limit %d", query.Limit), want, got)
	}
}

var contactsList = append(listerOfContacts().clauses(), []Clause[Contacts]{
	{"List sorts contacts by their users, byte by byte", func(t testing.TB, c Contacts) {
		all := hardContacts()
		for _, i := range []int{7, 1, 20, 5} { // put in another order
			putContacts(t, c.Contacts, all[i])
		}
		putContacts(t, c.Contacts, all...)
		for _, limit := range []int{1, 5, 100} {
			checkContacts(t, c, contactQuery{Limit: limit}, all...)
		}
	}},

	{"List returns each contact that exists throughout once, while others are put and deleted", func(t testing.TB, c Contacts) {
		before := listerOfContacts().fill(t, c, 25)
		leaves := before[12:14]
		added := 100
		got := listerOfContacts().follow(t, c, contactQuery{}, 4, func() {
			if added >= 140 {
				return
			}
			var more []ports.Contact
			for range 5 {
				more = append(more, nthContact(added))
				added++
			}
			putContacts(t, c.Other, append(more, before[0], before[20])...)
			for _, contact := range leaves {
				must(t, "delete contact", c.Other.Delete(bounded(t), contact.UserID))
			}
			leaves = nil
		})
		checkVisited(t, contactQuery{}, listerOfContacts().id, got, sortedContacts(got), slices.Concat(before[:12], before[14:]))
	}},

	{"List of contacts with an ended context returns its error", func(t testing.TB, c Contacts) {
		checkEnded(t, "List", func(ctx context.Context) error { return errorOf(c.Contacts.List(ctx, 10, "")) })
	}},
}...)
