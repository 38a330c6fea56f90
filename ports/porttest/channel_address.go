package porttest

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"example.com/orderflow/ports"
)

// addressed calls check if the channel is an [ports.AddressedChannel]. Another one
// has no addresses.
func addressed(t testing.TB, c Channel, check func(ports.AddressedChannel)) {
	t.Helper()
	channel, ok := c.Channel.(ports.AddressedChannel)
	if ok != (c.Address != "") || ok != (len(c.WrongAddresses) > 0) {
		t.Fatalf("the channel is an AddressedChannel: %t, but the harness has the address %q and %d wrong ones", ok, c.Address, len(c.WrongAddresses))
	}
	if ok {
		check(channel)
	}
}

var channelAddress = []Clause[Channel]{
	{"CheckAddress accepts addresses that the channel can send to, and no others", func(t testing.TB, c Channel) {
		addressed(t, c, func(channel ports.AddressedChannel) {
			if err := channel.CheckAddress(c.Address); err != nil {
				t.Errorf("CheckAddress of %q: error %v, want nil", c.Address, err)
			}
			for _, wrong := range append(c.WrongAddresses, "", " ", c.Address+"\r\n", "\x00"+c.Address) {
				err := channel.CheckAddress(wrong)
				if err == nil {
					t.Errorf("CheckAddress of %q: no error, want one", wrong)
				} else if text := err.Error(); text == "" || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) || !unicode.IsLower([]rune(text)[0]) {
					t.Errorf("CheckAddress of %q: error %q, want the end of a sentence", wrong, text)
				}
			}
		})
	}},

	{"Receiver returns the same short name for an address, without the address or a secret", func(t testing.TB, c Channel) {
		addressed(t, c, func(channel ports.AddressedChannel) {
			name := channel.Receiver(c.Address)
			if len(name) < 1 || len(name) > 128 || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
				t.Errorf("receiver %q has %d bytes, want 1 to 128 of text", name, len(name))
			}
			if strings.Contains(name, c.Address) {
				t.Errorf("receiver %q contains the address, want none", name)
			}
			checkSecrets(t, c, "the receiver's name", name)
			send(t, c, outgoing(c, event(1)))
			if again := channel.Receiver(c.Address); again != name {
				t.Errorf("receiver was %q and is now %q, want no change", name, again)
			}
		})
	}},

	{"CheckAddress and Receiver need no receiver", func(t testing.TB, c Channel) {
		addressed(t, c, func(channel ports.AddressedChannel) {
			name := channel.Receiver(c.Address)
			check := func(what string) {
				if err := channel.CheckAddress(c.Address); err != nil {
					t.Errorf("CheckAddress of %q with %s: error %v, want nil", c.Address, what, err)
				}
				if again := channel.Receiver(c.Address); again != name {
					t.Errorf("receiver is %q with %s, want %q as before", again, what, name)
				}
			}
			for _, fault := range c.Faults {
				fault.Begin()
				check(fault.Name)
				c.Heal()
			}
			c.Hang()
			check("a hanging receiver")
			c.Heal()
		})
	}},
}
