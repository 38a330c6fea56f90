package notification

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/actions"
	"example.com/orderflow/services/internal/mask"
)

// The bounds of a contact.
const (
	MaxAddresses = 16
	MaxAddress   = 2 << 10 // bytes
	MaxLanguage  = 35      // characters
)

// Contact returns the user's contact. See [ports.Contacts]. [*domain.InvalidError] is
// returned when no user can have the id.
func (c *Control) Contact(ctx context.Context, userID string) (ports.Contact, error) {
	if err := domain.CheckKnownUserID(userID); err != nil {
		return ports.Contact{}, err
	}
	return c.store.Contacts.Get(ctx, userID)
}

// PutContact stores the contact in place of the user's earlier one, and returns it as
// it is stored. [*domain.InvalidError] is returned when a field is wrong.
func (c *Control) PutContact(ctx context.Context, contact ports.Contact, by string) (ports.Contact, error) {
	contact, err := c.checkContact(contact)
	if err != nil {
		return ports.Contact{}, err
	}
	contact.UpdatedAt = now()
	entry := actions.Entry{Action: actions.PutContact, By: by, Target: actions.User(contact.UserID)}
	if err := c.doOne(ctx, entry, func() error { return c.store.Contacts.Put(ctx, contact) }); err != nil {
		return ports.Contact{}, err
	}
	c.log.InfoContext(ctx, "contact stored", "user_id", mask.Text(contact.UserID), "by", by,
		"channels", slices.Sorted(maps.Keys(contact.Addresses)), "off", contact.Off)
	return contact, nil
}

// DeleteContact deletes the user's contact. Its errors are those of Contact.
func (c *Control) DeleteContact(ctx context.Context, userID, by string) error {
	if err := domain.CheckKnownUserID(userID); err != nil {
		return err
	}
	entry := actions.Entry{Action: actions.DeleteContact, By: by, Target: actions.User(userID)}
	if err := c.doOne(ctx, entry, func() error { return c.store.Contacts.Delete(ctx, userID) }); err != nil {
		return err
	}
	c.log.InfoContext(ctx, "contact deleted", "user_id", mask.Text(userID), "by", by)
	return nil
}

// checkContact returns the contact with Off sorted. [*domain.InvalidError] is returned
// when a field is wrong; it names all of them, such as addresses.email.
func (c *Control) checkContact(contact ports.Contact) (ports.Contact, error) {
	var invalid domain.InvalidError
	fault := func(field, reason string) {
		if reason != "" {
			invalid.Fields = append(invalid.Fields, domain.FieldError{Field: field, Reason: reason})
		}
	}
	if err, ok := domain.CheckUserID(contact.UserID).(*domain.InvalidError); ok {
		invalid.Fields = append(invalid.Fields, err.Fields...)
	}
	fault("language", checkLanguage(contact.Language))
	if len(contact.Addresses) > MaxAddresses {
		fault("addresses", fmt.Sprintf("must be at most %d", MaxAddresses))
	}
	for _, name := range slices.Sorted(maps.Keys(contact.Addresses)) {
		fault("addresses."+name, c.checkAddress(name, contact.Addresses[name]))
	}
	contact.Off = slices.Sorted(slices.Values(contact.Off))
	for i, name := range contact.Off {
		if i > 0 && contact.Off[i-1] == name {
			fault("off", fmt.Sprintf("must name %s once", quoteName(name)))
		} else if reason := c.checkAddressed(name); reason != "" {
			fault("off", quoteName(name)+" "+reason+"; leave others out, because they send users nothing")
		}
	}
	if len(invalid.Fields) > 0 {
		return ports.Contact{}, &invalid
	}
	return contact, nil
}

// checkAddress returns why the channel can't send to the address.
func (c *Control) checkAddress(channel, address string) (reason string) {
	if reason := c.checkAddressed(channel); reason != "" {
		return reason
	}
	switch {
	case address == "":
		return "must not be empty; leave it out if the user has none"
	case len(address) > MaxAddress:
		return fmt.Sprintf("must have at most %d bytes", MaxAddress)
	case !utf8.ValidString(address) || strings.ContainsFunc(address, unicode.IsControl):
		return "must be valid UTF-8 without control characters"
	}
	if err := c.channel(channel).Addressed.CheckAddress(address); err != nil {
		return err.Error()
	}
	return ""
}

// checkAddressed returns why users can't have addresses for the channel.
func (c *Control) checkAddressed(name string) (reason string) {
	if channel := c.channel(name); channel != nil && channel.Addressed != nil {
		return ""
	}
	var known []string
	for _, channel := range c.channels {
		if channel.Addressed != nil {
			known = append(known, channel.Name)
		}
	}
	if len(known) == 0 {
		return "is not a channel with addresses; none is configured"
	}
	return "is not a channel with addresses; known: " + strings.Join(known, ", ")
}

// bcp47 is the syntax of language tags (RFC 5646), without the grandfathered ones.
var bcp47 = regexp.MustCompile(`(?i)^([a-z]{2,3}(-[a-z]{3}){0,3}|[a-z]{4,8})(-[a-z]{4})?(-([a-z]{2}|[0-9]{3}))?` +
	`(-([a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*(-[0-9a-wy-z](-[a-z0-9]{2,8})+)*(-x(-[a-z0-9]{1,8})+)?$`)

const mustBeLanguage = "must be a language tag (BCP 47) such as de or pt-BR, of at most 35 characters"

func checkLanguage(tag string) (reason string) {
	if tag != "" && (len(tag) > MaxLanguage || !bcp47.MatchString(tag)) {
		return mustBeLanguage
	}
	return ""
}

// quoteName returns a channel's name from a request or a file as errors show it: masked,
// because somebody may have put an address in its place.
func quoteName(name string) string {
	const limit = 32
	if characters := []rune(name); len(characters) > limit {
		name = string(characters[:limit]) + "…"
	}
	return fmt.Sprintf("%q", mask.Text(name))
}
