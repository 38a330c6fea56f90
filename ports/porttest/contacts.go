package porttest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// nthContact returns the contact of the nth user. Ids do not sort as their numbers.
func nthContact(n int) ports.Contact {
	return ports.Contact{
		UserID:    "user " + string(orderID(n)),
		Language:  []string{"", "de", "en", "zh-Hant-TW"}[n%4],
		Addresses: map[string]string{"email": fmt.Sprintf("user%d@example.com", n), "webhook": fmt.Sprintf("https://example.com/%d", n)},
		Off:       []string{"sms", "webhook"}[:n%3],
		UpdatedAt: epoch.Add(time.Duration(n)*time.Second + 123*time.Millisecond),
	}
}

// hardContacts returns contacts that a server easily changes when it stores or
// returns them. Their ids are sorted byte by byte.
func hardContacts() []ports.Contact {
	var all []ports.Contact
	for n, id := range []string{
		` {"$gt":""} `, "$set", ".*", "0", "0123", "1e3", "Ann", "a", "a b", "a-b", "a.b", "ab", "an", "ann", "ann ", "ann2", "null",
		"u%2F/?#", "zo\u0308e", "z\u00f6e", strings.Repeat("\u00fc", domain.MaxUserID), "\uffff", "\U0001F6D2",
	} {
		contact := nthContact(n)
		contact.UserID = id
		all = append(all, contact)
	}
	all[0] = ports.Contact{UserID: all[0].UserID, UpdatedAt: epoch}
	all[1].Addresses = map[string]string{
		"a.b": "1", ".": "2", "$set": "3", "$": "4", "a.$b": "$c", "A.B": "5", "name": "6", "value": "7", "_id": "8",
		"\u00e4": "composed", "a\u0308": "\U0001F6D2\u2028", "nul": "a\x00b", "long": strings.Repeat("x", 2048), "none": "",
	}
	all[1].Off = []string{"$set", ".", "A.B", "a.b", "\u00e4"}
	all[2].UpdatedAt = time.Date(1969, 12, 31, 23, 59, 59, 999_000_000, time.UTC)
	all[3].Addresses = map[string]string{}
	return all
}

func putContacts(t testing.TB, store ports.Contacts, contacts ...ports.Contact) {
	t.Helper()
	must(t, fmt.Sprintf("put %d contacts", len(contacts)), store.Put(bounded(t), contacts...))
}

// checkContact fails t unless both processes have this contact.
func checkContact(t testing.TB, c Contacts, want ports.Contact) {
	t.Helper()
	for _, store := range []ports.Contacts{c.Contacts, c.Other} {
		got, err := store.Get(bounded(t), want.UserID)
		must(t, fmt.Sprintf("get contact of %.50q", want.UserID), err)
		checkEqual(t, fmt.Sprintf("contact of %.50q", want.UserID), want, got)
	}
}

func checkNoContact(t testing.TB, c Contacts, user string) {
	t.Helper()
	for _, store := range []ports.Contacts{c.Contacts, c.Other} {
		got, err := store.Get(bounded(t), user)
		checkError(t, "get unknown contact of", err, ports.ErrNotFound, user)
		checkEqual(t, "contact with the error for the unknown user "+user, ports.Contact{}, got)
	}
}

var contactsPut = []Clause[Contacts]{
	{"Put keeps contacts, and Get returns them with every field as it was put", func(t testing.TB, c Contacts) {
		all := hardContacts()
		putContacts(t, c.Contacts, all...)
		for _, want := range all {
			checkContact(t, c, want)
		}
	}},

	{"Put replaces the user's whole contact, and changes no other user's", func(t testing.TB, c Contacts) {
		all := []ports.Contact{nthContact(2), nthContact(1), nthContact(3)}
		putContacts(t, c.Contacts, all...)
		for n := range 4 {
			contact := nthContact(10 + n)
			contact.UserID = all[1].UserID
			if n == 2 {
				contact = ports.Contact{UserID: all[1].UserID, UpdatedAt: epoch}
			}
			putContacts(t, c.Other, contact)
			putContacts(t, c.Contacts, contact) // a second time
			all[1] = contact
			for _, want := range all {
				checkContact(t, c, want)
			}
		}
		checkContacts(t, c, contactQuery{Limit: 10}, sortedContacts(all)...)
	}},

	{"Put takes MaxListLimit contacts, known and unknown, and none", func(t testing.TB, c Contacts) {
		var all []ports.Contact
		for n := range ports.MaxListLimit {
			all = append(all, nthContact(n))
		}
		putContacts(t, c.Contacts)
		checkContacts(t, c, contactQuery{Limit: 10})
		putContacts(t, c.Contacts, all[300:600]...)
		for n := range all {
			all[n].Language = "fr"
		}
		putContacts(t, c.Other, all...)
		checkContacts(t, c, contactQuery{Limit: ports.MaxListLimit}, sortedContacts(all)...)
	}},

	{"Put of one user by many callers keeps the whole contact of one of them", func(t testing.TB, c Contacts) {
		const callers = 16
		user := nthContact(1).UserID
		candidates := map[string]ports.Contact{}
		var all []ports.Contact
		for n := range callers {
			contact := nthContact(n)
			contact.UserID = user
			candidates[contact.Addresses["email"]] = contact
			all = append(all, contact)
		}
		ctx := bounded(t)
		together(callers, func(i int) {
			if err := either(i, c.Contacts, c.Other).Put(ctx, all[i], nthContact(100+i)); err != nil {
				t.Errorf("put contact of %s during other calls: %v", user, err)
			}
		})
		got, err := c.Contacts.Get(ctx, user)
		must(t, "get contact of "+user, err)
		checkEqual(t, "contact of "+user, candidates[got.Addresses["email"]], got)
		for n := range callers {
			checkContact(t, c, nthContact(100+n))
		}
	}},

	{"Put, Get and List of contacts share no memory with their caller", func(t testing.TB, c Contacts) {
		spoil := func(contact ports.Contact) {
			contact.Addresses["email"], contact.Addresses["more"], contact.Off[0] = "changed by the caller", "", "changed by the caller"
		}
		want, put := nthContact(2), nthContact(2)
		putContacts(t, c.Contacts, put)
		spoil(put)
		checkContact(t, c, want)
		got, err := c.Contacts.Get(bounded(t), want.UserID)
		must(t, "get contact", err)
		spoil(got)
		page, err := c.Contacts.List(bounded(t), 10, "")
		must(t, "list contacts", err)
		spoil(page.Contacts[0])
		checkContact(t, c, want)
		checkContacts(t, c, contactQuery{Limit: 10}, want)
	}},

	{"Put with an ended context changes nothing", func(t testing.TB, c Contacts) {
		kept, changed := nthContact(1), nthContact(2)
		changed.UserID = kept.UserID
		putContacts(t, c.Contacts, kept)
		checkEnded(t, "Put", func(ctx context.Context) error { return c.Contacts.Put(ctx, changed, nthContact(3)) })
		checkContacts(t, c, contactQuery{Limit: 10}, kept)
	}},
}

var contactsGet = []Clause[Contacts]{
	{"Get of an unknown user returns ErrNotFound", func(t testing.TB, c Contacts) {
		putContacts(t, c.Contacts, hardContacts()...)
		for _, user := range []string{"nobody", "A", "ANN", "b", `{"$gt":""}`, "zo\u0308"} {
			checkNoContact(t, c, user)
		}
	}},

	{"Get with an ended context returns its error", func(t testing.TB, c Contacts) {
		putContacts(t, c.Contacts, nthContact(1))
		checkEnded(t, "Get", func(ctx context.Context) error { return errorOf(c.Contacts.Get(ctx, nthContact(1).UserID)) })
	}},
}

var contactsDelete = []Clause[Contacts]{
	{"Delete deletes the user's contact, and no other user's", func(t testing.TB, c Contacts) {
		left := hardContacts()
		putContacts(t, c.Contacts, left...)
		for len(left) > 1 {
			user := left[len(left)/2].UserID
			must(t, fmt.Sprintf("delete contact of %.50q", user), c.Other.Delete(bounded(t), user))
			checkNoContact(t, c, user)
			left = append(left[:len(left)/2:len(left)/2], left[len(left)/2+1:]...)
			checkContacts(t, c, contactQuery{Limit: 100}, left...)
		}
	}},

	{"Delete of an unknown user returns ErrNotFound", func(t testing.TB, c Contacts) {
		gone, kept := nthContact(1), nthContact(2)
		putContacts(t, c.Contacts, gone, kept)
		must(t, "delete contact", c.Contacts.Delete(bounded(t), gone.UserID))
		for _, user := range []string{gone.UserID, "nobody", "USER", `{"$gt":""}`} {
			checkError(t, "delete unknown contact of", c.Other.Delete(bounded(t), user), ports.ErrNotFound, user)
		}
		checkContacts(t, c, contactQuery{Limit: 10}, kept)
		putContacts(t, c.Contacts, gone) // as if it were new
		checkContact(t, c, gone)
	}},

	{"Delete with an ended context deletes nothing", func(t testing.TB, c Contacts) {
		kept := nthContact(1)
		putContacts(t, c.Contacts, kept)
		checkEnded(t, "Delete", func(ctx context.Context) error { return c.Contacts.Delete(ctx, kept.UserID) })
		checkContact(t, c, kept)
	}},
}
