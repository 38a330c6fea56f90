package smtpchannel_test

import (
	"net/url"
	"strings"
	"testing"
)

var wrongAddresses = []string{
	"ann", "@", "ann@", "@example.com", "ann@@example.com", "ann@example.com@example.com",
	"Ann <ann@example.com>", "<ann@example.com>", "ann@example.com, bob@example.com", "ann@example.com ", " ann@example.com",
	"ann bell@example.com", ".ann@example.com", "ann.@example.com", "a..n@example.com",
	"ann@example..com", "ann@.example.com", "ann@example.com.", "ann@-example.com", "ann@example-.com", "ann@exam_ple.com",
	"ann@[127.0.0.1]", "ann@exämple.com", "änn@example.com", "ann(bell)@example.com", `"ann bell"@example.com`, "mailto:ann@example.com",
	"ann@example.com\nBcc: bob@example.com", "ann@example.com>\r\nDATA", "ann\x00@example.com", "ann@example.com\u2028", "ann@example\x7f.com",
	strings.Repeat("a", 65) + "@example.com", "a@" + strings.Repeat("a", 64) + ".com", "a@" + strings.Repeat("a.", 126) + "b",
}

func TestCheckAddress(t *testing.T) {
	c := open(t, "smtp", "mail.example.com:587", url.Values{})
	for _, address := range []string{
		"a@b", "root@localhost", "ann@example.com", "Ann.Bell+orders@sub.example.com", "o'neil/x=1@example.com", "1@2.example", "ann@xn--exmple-cua.com",
		strings.Repeat("a", 64) + "@example.com", "aa@" + strings.Repeat("a.", 125) + "b",
	} {
		if err := c.CheckAddress(address); err != nil {
			t.Errorf("%q: got %v, want nil", address, err)
		}
	}
	for _, address := range wrongAddresses {
		if err := c.CheckAddress(address); err == nil || !strings.HasPrefix(err.Error(), "must ") {
			t.Errorf("%q: got %v, want an error that begins with must", address, err)
		}
	}
}

func TestCheckAddressNamesTheWayOut(t *testing.T) {
	c := open(t, "smtp", "mail.example.com:587", url.Values{})
	for address, want := range map[string]string{
		"ann@exämple.com":       "must have its host in ASCII, as xn--…",
		"änn@example.com":       "must be in ASCII before the @; ask the user for another address",
		"änn@exämple.com":       "must be in ASCII before the @",
		"Änn":                   "must be an address like ann@example.com",
		"Ann <ann@example.com>": "must be an address like ann@example.com",
	} {
		if err := c.CheckAddress(address); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", address, err, want)
		}
	}
}

func TestReceiverIsTheServer(t *testing.T) {
	for _, test := range []struct{ scheme, host, want string }{
		{"smtp", "mail.example.com:25", "mail.example.com:25"},
		{"smtp", "mail.example.com", "mail.example.com:587"},
		{"smtps", "mail.example.com", "mail.example.com:465"},
		{"smtps", "[::1]", "[::1]:465"},
	} {
		if got := open(t, test.scheme, test.host, url.Values{}).Receiver(address); got != test.want {
			t.Errorf("%s: got %s, want %s", test.host, got, test.want)
		}
	}
}
