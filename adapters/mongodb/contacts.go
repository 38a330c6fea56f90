package mongodb

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"example.com/orderflow/adapters/internal/cursor"
	"example.com/orderflow/ports"
)

// Contacts keeps users' contacts, one document for each user.
type Contacts struct{ store *Store }

var _ ports.Contacts = (*Contacts)(nil)

// Contacts returns the users' contacts.
func (s *Store) Contacts() *Contacts { return &s.parts.contacts }

// Get returns the user's contact. See [ports.Contacts].
func (c *Contacts) Get(ctx context.Context, userID string) (_ ports.Contact, err error) {
	defer describe(&err, "get contact of user %s", userID)
	ctx, cancel := c.store.bound(ctx)
	defer cancel()
	document, err := c.store.contacts.FindOne(ctx, bson.M{"_id": userID}).Raw()
	if errors.Is(err, mongo.ErrNoDocuments) {
		return ports.Contact{}, ports.ErrNotFound
	}
	if err != nil {
		return ports.Contact{}, classify(ctx, err)
	}
	return readContact(document)
}

// Put stores the contacts. See [ports.Contacts]. If the process dies, some of them
// may be stored.
func (c *Contacts) Put(ctx context.Context, contacts ...ports.Contact) (err error) {
	defer describe(&err, "put %d contacts", len(contacts))
	if len(contacts) > ports.MaxListLimit {
		return fmt.Errorf("%d are too many at once, the limit is %d", len(contacts), ports.MaxListLimit)
	}
	ctx, cancel := c.store.bound(ctx)
	defer cancel()
	latest := make(map[string]contactDocument, len(contacts))
	for _, contact := range contacts {
		latest[contact.UserID] = newContactDocument(contact)
	}
	var models []mongo.WriteModel
	for _, id := range slices.Sorted(maps.Keys(latest)) { // sorted, so that two calls can't deadlock
		models = append(models, mongo.NewReplaceOneModel().SetFilter(bson.M{"_id": id}).SetReplacement(latest[id]).SetUpsert(true))
	}
	if len(models) == 0 {
		return nil
	}
	for {
		_, err := c.store.contacts.BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false))
		added := false // another call has added a contact at the same time; the next write replaces it
		for _, err := range splitError(len(models), err) {
			if isDuplicate(err) {
				added = true
			} else if err != nil {
				return classify(ctx, err)
			}
		}
		if !added {
			return nil
		}
	}
}

// Delete deletes the user's contact. See [ports.Contacts].
func (c *Contacts) Delete(ctx context.Context, userID string) (err error) {
	defer describe(&err, "delete contact of user %s", userID)
	ctx, cancel := c.store.bound(ctx)
	defer cancel()
	result, err := c.store.contacts.DeleteOne(ctx, bson.M{"_id": userID})
	switch {
	case err != nil:
		return classify(ctx, err)
	case result.DeletedCount == 0:
		return ports.ErrNotFound
	}
	return nil
}

// List returns one page of the contacts. See [ports.Contacts].
func (c *Contacts) List(ctx context.Context, limit int, after string) (page ports.ContactPage, err error) {
	defer describe(&err, "list contacts")
	ctx, cancel := c.store.bound(ctx)
	defer cancel()
	filter := bson.M{}
	if after != "" {
		user, err := cursor.DecodeUser(after)
		if err != nil {
			return page, err
		}
		filter["_id"] = bson.M{"$gt": user}
	}
	found, err := findPage(ctx, c.store, c.store.contacts, filter, options.Find().SetSort(byID), limit, readContact)
	if err != nil {
		return page, err
	}
	page.Contacts, page.Unreadable = found.records, found.skipped.Count
	if found.more {
		page.NextCursor = cursor.EncodeUser(found.last().UserID)
	}
	return page, nil
}

var byID = bson.D{{Key: "_id", Value: 1}}

type contactDocument struct {
	UserID    string            `bson:"_id"`
	Language  string            `bson:"language"`
	Addresses []addressDocument `bson:"addresses"`
	Off       []string          `bson:"off"`
	UpdatedAt time.Time         `bson:"updated_at"`
}

// addressDocument stores the channel as a value, because MongoDB would read some
// names of fields as paths or operators.
type addressDocument struct {
	Channel string `bson:"channel"`
	Address string `bson:"address"`
}

func newContactDocument(c ports.Contact) contactDocument {
	d := contactDocument{
		UserID: c.UserID, Language: c.Language, Addresses: []addressDocument{}, Off: append([]string{}, c.Off...), UpdatedAt: c.UpdatedAt,
	}
	for _, channel := range slices.Sorted(maps.Keys(c.Addresses)) {
		d.Addresses = append(d.Addresses, addressDocument{channel, c.Addresses[channel]})
	}
	return d
}

func readContact(document bson.Raw) (ports.Contact, error) {
	r := &reader{doc: document}
	c := ports.Contact{
		UserID:    field(r, "_id", bson.RawValue.StringValueOK),
		Language:  field(r, "language", bson.RawValue.StringValueOK),
		Off:       array(r, "off", bson.RawValue.StringValueOK),
		UpdatedAt: date(r, "updated_at"),
	}
	for _, a := range elements(r, "addresses", readAddress) {
		if c.Addresses == nil {
			c.Addresses = make(map[string]string)
		}
		c.Addresses[a.Channel] = a.Address
	}
	if r.err != nil {
		return ports.Contact{}, unreadable(document, r.err)
	}
	return c, nil
}

func readAddress(r *reader) addressDocument {
	return addressDocument{
		Channel: field(r, "channel", bson.RawValue.StringValueOK),
		Address: field(r, "address", bson.RawValue.StringValueOK),
	}
}
