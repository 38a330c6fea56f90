package porttest_test

import (
	"errors"
	"strings"

	"example.com/orderflow/ports/porttest"
)

// checking makes a channel with another CheckAddress.
func checking(check func(p *paper, address string) error) func() porttest.Channel {
	return paperChannel(func(p *paper) { p.check = check })
}

// receiving makes a channel with another Receiver.
func receiving(receiver func(p *paper, address string) string) func() porttest.Channel {
	return paperChannel(func(p *paper) { p.receiver = receiver })
}

func brokenAddresses() []broken[porttest.Channel] {
	const (
		accepts  = "CheckAddress accepts addresses that the channel can send to, and no others"
		receiver = "Receiver returns the same short name for an address, without the address or a secret"
		pure     = "CheckAddress and Receiver need no receiver"
		both     = "every clause that needs an address"
	)
	return []broken[porttest.Channel]{
		{"a harness without an address", accepts, both, func() porttest.Channel {
			c := named("paper")()
			c.Address = ""
			return c
		}},
		{"a harness without a wrong address", accepts, both, func() porttest.Channel {
			c := named("paper")()
			c.WrongAddresses = nil
			return c
		}},
		{"CheckAddress accepts everything", accepts, "", checking(func(*paper, string) error { return nil })},
		{"CheckAddress accepts nothing", accepts, both, checking(func(*paper, string) error { return errors.New("must be another one") })},
		{"CheckAddress accepts line breaks", accepts, "", checking(func(_ *paper, address string) error {
			if strings.TrimSpace(address) != paperAddress {
				return errors.New("must be the name of a shelf")
			}
			return nil
		})},
		{"CheckAddress returns a whole sentence", accepts, "", checking(func(_ *paper, address string) error {
			if address != paperAddress {
				return errors.New("Address must be the name of a shelf")
			}
			return nil
		})},
		{"CheckAddress asks the receiver", pure, "", checking(func(p *paper, address string) error {
			if _, hangs := p.state(); hangs || address != paperAddress {
				return errors.New("must be the name of a shelf")
			}
			return nil
		})},
		{"Receiver returns nothing", receiver, "", receiving(func(*paper, string) string { return "" })},
		{"Receiver returns a long name", receiver, "", receiving(func(*paper, string) string { return strings.Repeat("library", 20) })},
		{"Receiver returns the address", receiver, "", receiving(func(_ *paper, address string) string { return "library, " + address })},
		{"Receiver returns a secret", receiver, "", receiving(func(*paper, string) string { return "library:" + paperSecret })},
		{"Receiver changes", receiver, "", receiving(func(p *paper, _ string) string { return strings.Repeat("x", len(p.sent())+1) })},
		{"Receiver asks the receiver", pure, "", receiving(func(p *paper, _ string) string {
			fault, _ := p.state()
			return "library" + fault.Name
		})},
	}
}
