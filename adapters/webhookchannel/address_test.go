package webhookchannel_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"example.com/orderflow/adapters/webhookchannel"
)

func TestCheckAddress(t *testing.T) {
	long := "https://example.com/" + strings.Repeat("x", 2<<10)
	tests := []struct {
		address string
		public  string // part of the error; empty: none
		private string // the same with AllowPrivate
	}{
		{"https://example.com/hooks", "", ""},
		{"https://example.com", "", ""},
		{"HTTPS://Example.com:8443/a%20b?x=1&y=ü", "", ""},
		{"https://bücher.example/", "", ""},
		{"https://8.8.8.8/", "", ""},
		{"https://[2606:4700::1111]:443/", "", ""},
		{long[:2<<10], "", ""},
		{long[:2<<10+1], "at most", "at most"},
		{"http://example.com/", "https", ""},
		{"ftp://example.com/", "https", "https"},
		{"", "URL like", "URL like"},
		{"example.com/hooks", "URL like", "URL like"},
		{"//example.com/hooks", "https", "https"},
		{"https:example.com", "URL like", "URL like"},
		{"https:///hooks", "URL like", "URL like"},
		{"https://:443/hooks", "host", "host"},
		{"https://example.com:/", "port", "port"},
		{"https://example.com:0/", "port", "port"},
		{"https://example.com:65536/", "port", "port"},
		{"https://example.com:s3cret/", "URL like", "URL like"},
		{"https://ann:s3cret@example.com/", "no user", "no user"},
		{"https://@example.com/", "no user", "no user"},
		{"https://example.com/#s3cret", "fragment", "fragment"},
		{"https://example.com/#", "fragment", "fragment"},
		{" https://example.com/", "spaces", "spaces"},
		{"https://example.com/a b", "spaces", "spaces"},
		{"https://example.com/\n", "spaces", "spaces"},
		{"https://example.com/\x00", "spaces", "spaces"},
		{"https://example.com/\xff", "spaces", "spaces"},
		{"https://example.com/%zz-s3cret", "URL like", "URL like"},
		{"https://" + strings.Repeat("x", 254) + "/", "host", "host"},
		{"https://localhost/", "public", ""},
		{"https://LOCALHOST.:8443/", "public", ""},
		{"https://x.localhost/", "public", ""},
		{"https://127.0.0.1/", "public", ""},
		{"https://10.1.2.3:8443/", "public", ""},
		{"https://169.254.169.254/latest", "public", ""},
		{"https://[::1]/", "public", ""},
		{"https://[::ffff:10.0.0.1]/", "public", ""},
		{"https://[fe80::1%25eth0]/", "public", ""},
		{"http://127.0.0.1:8080/hooks", "https", ""},
	}
	public := newChannel(t, webhookchannel.Options{})
	private := newChannel(t, webhookchannel.Options{AllowPrivate: true})
	for _, tt := range tests {
		check := func(c *webhookchannel.Channel, name, want string) {
			err := c.CheckAddress(tt.address)
			switch {
			case want == "" && err != nil:
				t.Errorf("%s: %.100q: got %v, want no error", name, tt.address, err)
			case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
				t.Errorf("%s: %.100q: got %v, want %q in the error", name, tt.address, err, want)
			case err != nil && strings.Contains(err.Error(), "s3cret"):
				t.Errorf("%s: the error shows a secret: %v", name, err)
			}
		}
		check(public, "public", tt.public)
		check(private, "private", tt.private)
	}
}

func TestReceiver(t *testing.T) {
	c := newChannel(t, webhookchannel.Options{AllowPrivate: true})
	tests := []struct{ address, want string }{
		{"https://hooks.example.com/services/s3cret", "hooks.example.com#9f77a1bf"},
		{"https://Hooks.example.com/services/s3cret", "hooks.example.com#1b7b34c8"},
		{"https://hooks.example.com:8443/services/s3cret?x=1", "hooks.example.com:8443#5bbeff9b"},
		{"http://[::1]:8080/", "[::1]:8080#80228364"},
		{"not a URL", "#809a6251"},
		{"https://" + strings.Repeat("x", 250) + "/", strings.Repeat("x", 119) + "#871fd3ae"},
	}
	for _, tt := range tests {
		if got := c.Receiver(tt.address); got != tt.want {
			t.Errorf("%.60q: got %q, want %q", tt.address, got, tt.want)
		}
	}
}

func FuzzReceiver(f *testing.F) {
	for _, s := range []string{"https://example.com/hooks?key=1", "https://[::1%25a]:1/", "https://é.example/", ""} {
		f.Add(s)
	}
	c := newChannel(f, webhookchannel.Options{AllowPrivate: true})
	f.Fuzz(func(t *testing.T, address string) {
		receiver := c.Receiver(address)
		if len(receiver) > 128 || !utf8.ValidString(receiver) || receiver != c.Receiver(address) {
			t.Errorf("receiver %q, want at most 128 bytes of UTF-8, always the same", receiver)
		}
		if err := c.CheckAddress(address); err != nil && len(err.Error()) > 200 {
			t.Errorf("the error is long: %v", err)
		}
	})
}
