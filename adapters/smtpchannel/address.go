package smtpchannel

import (
	"errors"
	"regexp"
	"strings"
	"unicode"
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
	other := strings.IndexFunc(address, func(r rune) bool { return r > unicode.MaxASCII })
	switch {
	case len(address) > maxAddress || at > maxLocalPart:
		return errors.New("must have at most 254 bytes, and at most 64 before the @")
	case other >= 0 && other < at:
		return errors.New("must be in ASCII before the @; ask the user for another address")
	case other >= 0 && at >= 0:
		return errors.New("must have its host in ASCII, as xn--…, which is its form in DNS")
	case at < 0 || !localPart.MatchString(address[:at]) || !domainName.MatchString(address[at+1:]):
		return errors.New("must be an address like ann@example.com, in ASCII and without a name")
	}
	return nil
}

// Receiver returns the mail server, such as "mail.example.com:587". It takes the mails
// to all addresses.
func (c *Channel) Receiver(string) string { return c.settings.server() }
