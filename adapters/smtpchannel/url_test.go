package smtpchannel_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/orderflow/adapters/smtpchannel"
)

func TestOpenAcceptsURL(t *testing.T) {
	for _, test := range []struct{ url, password string }{
		{"smtp://shop:secret@mail.example.com:587/?from=Shop+%3Cshop@example.com%3E&tls=starttls&reply_to=service@example.com", ""},
		{"smtp://mail.example.com?from=shop@example.com", ""},
		{"smtp://localhost:25?from=shop@localhost&tls=none", ""},
		{"smtps://shop@mail.example.com/?from=shop@example.com", "s3cret"},
		{"smtps://shop%40example.com:a%2Fb%3Fc%40@[::1]/?from=shop@example.com", ""},
		{"SMTP://mail.example.com/?from=shop@example.com", ""},
		{"smtp://mail.example.com/?from=shop@example.com&list_unsubscribe=https://example.com/x?u={user_id}&list_unsubscribe_post=true", ""},
		{"smtp://mail.example.com/?from=shop@example.com&list_unsubscribe=mailto:stop@example.com&list_unsubscribe_post=false", ""},
	} {
		c, err := smtpchannel.Open(test.url, smtpchannel.Options{Password: test.password})
		if err != nil {
			t.Errorf("%s: %v", test.url, err)
		} else if c.Name() != "email" {
			t.Errorf("%s: got name %q", test.url, c.Name())
		}
	}
	c, err := smtpchannel.Open("smtp://localhost/?from=a@b", smtpchannel.Options{Name: "mail-to-warehouse"})
	if err != nil || c.Name() != "mail-to-warehouse" {
		t.Errorf("got %v, want the name of the options", err)
	}
}

func TestOpenRefusesURL(t *testing.T) {
	file, large := filepath.Join(t.TempDir(), "no.pem"), filepath.Join(t.TempDir(), "large.pem")
	err := errors.Join(os.WriteFile(file, []byte("no certificate"), 0o600), os.WriteFile(large, make([]byte, 1<<20+1), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	const form = "read URL of the mail server: it must be like smtp://user:password@host:587/?from=shop@example.com"
	const scheme = "read URL of the mail server: it must begin with smtp:// or smtps://, as in smtp://user:password@host:587/?from=shop@example.com"
	const port = "read URL of the mail server: the port must be a number from 1 to 65535"
	for _, test := range []struct{ url, want string }{
		{"", scheme},
		{"s3cret", scheme},
		{"smtp:s3cret", scheme},
		{"http://mail.example.com/?from=a@b", scheme},
		{"mail.example.com:587", scheme},
		{"smtp:///?from=a@b", form},
		{"smtp://:587/?from=a@b", form},
		{"smtp://mail.example.com:0/?from=a@b", port},
		{"smtp://mail.example.com:65536/?from=a@b", port},
		{"smtp://mail.example.com:s3cret/?from=a@b", form},
		{"smtp://mail.example.com/s3cret?from=a@b", form},
		{"smtp://mail.example.com/?from=a@b#s3cret", form},
		{"smtp://mail.example.com/#s3cret", form},
		{"smtp://-s3cret/?from=a@b", form},
		{"smtp://u:1@s3cret@mail.example.com/?from=a@b", "it has an @ too many; write an @ in user or password as %40"},
		{"smtp://u:1/s3cret@mail.example.com/?from=a@b", form},
		{"smtp://u:1#s3cret@mail.example.com/?from=a@b", form},
		{"smtp://u:1?s3cret@mail.example.com/?from=a@b", "an option is unknown; the options are cacertfile, connections, from, list_unsubscribe, list_unsubscribe_post, reply_to, tls"},
		{"smtp://u:1%s3cret@mail.example.com/?from=a@b", form},
		{"smtp://u:s3cret\n@mail.example.com/?from=a@b", form},
		{"smtp://u:s3cret%0A@mail.example.com/?from=a@b", "user or password has a control character"},
		{"smtp://u@mail.example.com/?from=a@b", "the user needs a password"},
		{"smtp://:s3cret@mail.example.com/?from=a@b", "a password needs a user"},
		{"smtp://@mail.example.com/?from=a@b", "a password needs a user"},
		{"smtp://mail.example.com/", "option from is missing: add the sender, as in ?from=Shop+<shop@example.com>"},
		{"smtp://mail.example.com/?from=a@b&from=c@d", "option from is given 2 times"},
		{"smtp://mail.example.com/?from=", "option from is empty"},
		{"smtp://mail.example.com/?from=s3cret", "option from: it must be one address"},
		{"smtp://mail.example.com/?from=a@b,s3cret@d", "option from: it must be one address"},
		{"smtp://mail.example.com/?from=a@b%0D%0AX:+s3cret", "option from: it must be one address"},
		{"smtp://mail.example.com/?from=%22s3cret%0A%22+<a@b>", "option from: it must be one address"},
		{"smtp://mail.example.com/?from=a@b&reply_to=s3cret", "option reply_to: it must be one address"},
		{"smtp://mail.example.com/?from=a@b&From=c@d", "an option is unknown"},
		{"smtp://mail.example.com/?from=a@b&timeout=5s", `option "timeout" is unknown; the options are cacertfile, connections, from`},
		{"smtp://mail.example.com/?from=a@b&connections=0", "option connections: it must be a whole number from 1 to 100"},
		{"smtp://mail.example.com/?from=a@b&connections=s3cret", "option connections: it must be a whole number from 1 to 100"},
		{"smtp://mail.example.com/?from=a@b&tls=s3cret", "option tls: it must be starttls or none"},
		{"smtps://mail.example.com/?from=a@b&tls=none", "option tls: smtps: always uses TLS"},
		{"smtps://mail.example.com/?from=a@b&tls=starttls", "option tls: smtps: always uses TLS"},
		{"smtp://mail.example.com/?from=a@b&x=%zz", "its options can't be read"},
		{"smtp://mail.example.com/?from=a@b;tls=none", "its options can't be read"},
		{"smtp://mail.example.com/?from=a@b&cacertfile=/nope/ca.pem", `option cacertfile: "/nope/ca.pem": read file: no such file or directory`},
		{"smtp://mail.example.com/?from=a@b&cacertfile=../nope", `option cacertfile: "../nope": read file: no such file or directory`},
		{"smtp://mail.example.com/?from=a@b&cacertfile=s3cret", "option cacertfile: read file: no such file or directory"},
		{"smtp://mail.example.com/?from=a@b&cacertfile=" + large, `large.pem": the file has more than 1 MiB`},
		{"smtp://mail.example.com/?from=a@b&cacertfile=" + file, `no.pem": the file holds no certificate in PEM`},
		{"smtp://mail.example.com/?from=a@b&list_unsubscribe=http://s3cret", "option list_unsubscribe: it must be an address like https:"},
		{"smtp://mail.example.com/?from=a@b&list_unsubscribe=mailto:s3cret", "option list_unsubscribe: it must be an address like https:"},
		{"smtp://mail.example.com/?from=a@b&list_unsubscribe=https://x/%0As3cret", "option list_unsubscribe: it must be an address like https:"},
		{"smtp://mail.example.com/?from=a@b&list_unsubscribe=https://x/>,<mailto:s3cret@x", "option list_unsubscribe: it must be an address like https:"},
		{"smtp://mail.example.com/?from=a@b&list_unsubscribe=mailto:a@b&list_unsubscribe_post=true", "option list_unsubscribe_post needs list_unsubscribe with an https: address"},
		{"smtp://mail.example.com/?from=a@b&list_unsubscribe_post=yes", "option list_unsubscribe_post: it must be true or false"},
	} {
		_, err := smtpchannel.Open(test.url, smtpchannel.Options{})
		if err == nil || !strings.HasPrefix(err.Error(), "read URL of the mail server: ") || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: got %v, want an error with %q", test.url, err, test.want)
		}
	}
}

func TestOpenRefusesPassword(t *testing.T) {
	for _, test := range []struct{ url, password, want string }{
		{"smtp://u:p@mail.example.com/?from=a@b", "s3cret", "the password is given twice"},
		{"smtp://mail.example.com/?from=a@b", "s3cret", "a password needs a user"},
		{"smtp://u@mail.example.com/?from=a@b", "s3cret\n", "user or password has a control character, such as a line break at its end"},
	} {
		_, err := smtpchannel.Open(test.url, smtpchannel.Options{Password: test.password})
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: got %v, want an error with %q", test.url, err, test.want)
		}
	}
}

func TestOpenRefusesAuthoritiesWithoutTLS(t *testing.T) {
	_, ca := certificate(t, "127.0.0.1")
	_, err := smtpchannel.Open("smtp://mail.example.com/?from=a@b&tls=none&cacertfile="+ca, smtpchannel.Options{})
	if err == nil || !strings.Contains(err.Error(), "option cacertfile needs TLS") {
		t.Errorf("got %v, want an error about cacertfile", err)
	}
}
