package smtpchannel

import (
	"errors"
	"regexp"
	"strings"
)

const (
	maxAddress   = 254 // RFC 5321: a path of 256 includes < and >
	maxLocalPart = 64
)

var (
	localPart  = regexp.MustCompile("^(?:[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*)$")
	domainName = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$`)
)

// CheckAddress returns an error unless the address is a mailbox of RFC 5321 in ASCII,
// without a name. It refuses quoted local parts and address literals, which hardly
// any server takes.
func (c *Channel) CheckAddress(address string) error { return checkAddress(address) }

func checkAddress(address string) error {
	at := strings.LastIndexByte(address, '@')
	switch {
	case len(address) > maxAddress || at > maxLocalPart:
		return errors.New("must have at most 254 bytes, and at most 64 before the @")
	case at < 0 || !localPart.MatchString(address[:at]) || !domainName.MatchString(address[at+1:]):
		return errors.New("must be an address like ann@example.com, in ASCII and without a name")
	}
	return nil
}

// Receiver returns the mail server, such as "mail.example.com:587". It takes the mails
// to all addresses.
func (c *Channel) Receiver(string) string { return c.settings.server() }
