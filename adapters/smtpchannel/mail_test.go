package smtpchannel_test

import (
	"flag"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// sent returns the mail as a server gets it.
func sent(t *testing.T, options url.Values, message ports.Outgoing) string {
	t.Helper()
	s := newScript(t, nil)
	options.Set("tls", "none")
	c := open(t, "smtp", s.address, options)
	c.SetNow(time.Date(2026, 11, 23, 11, 0, 0, 0, time.FixedZone("", 3600)))
	if _, err := c.Send(t.Context(), message); err != nil {
		t.Fatal(err)
	}
	_, _, texts := s.seen()
	return texts[0]
}

// boundary is made at random, so that no order can contain it.
var boundary = regexp.MustCompile(`[0-9a-f]{60}`)

func TestMailAsSent(t *testing.T) {
	german := newMessage(t)
	german.Event.Order.UserID = "jürgen & söhne"
	german.Content = ports.Content{
		Language: "de",
		Subject:  "Ihre Bestellung: 2 × Größere Übertöpfe für Blumenkästen aus Weißblech, außen lackiert",
		Text:     "Guten Tag,\n\nvielen Dank für Ihre Bestellung!\n.\n" + strings.Repeat("Ein langer Satz über Übertöpfe. ", 10) + "\n" + strings.Repeat("x", 200) + "\n",
		HTML:     "<p>Vielen Dank für Ihre <b>Bestellung</b>!</p>",
	}
	bare := newMessage(t)
	bare.Content, bare.Test = ports.Content{}, true
	for _, test := range []struct {
		name    string
		options url.Values
		message ports.Outgoing
	}{
		{"plain", url.Values{"from": {"shop@example.com"}}, newMessage(t)},
		{"german", url.Values{
			"from":                  {"Blumen Müller <shop@example.com>"},
			"reply_to":              {`"Service, Blumen" <service@example.com>`},
			"list_unsubscribe":      {"https://shop.example.com/unsubscribe?user={user_id}"},
			"list_unsubscribe_post": {"true"},
		}, german},
		{"bare", url.Values{"list_unsubscribe": {"mailto:unsubscribe@example.com?subject=stop"}}, bare},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := sent(t, test.options, test.message)
			for _, line := range strings.SplitAfter(got, "\r\n") {
				if len(line) > 80 || strings.ContainsAny(strings.TrimSuffix(line, "\r\n"), "\r\n") || strings.ContainsFunc(line, func(r rune) bool { return r > '~' }) {
					t.Errorf("line %q is not one line of ASCII with at most 78 characters", line)
				}
			}
			got = boundary.ReplaceAllString(strings.ReplaceAll(got, "\r\n", "\n"), "BOUNDARY")
			file := filepath.Join("testdata", test.name+".eml")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestMailIsReadAsItWasMeant reads mails with hostile content.
func TestMailIsReadAsItWasMeant(t *testing.T) {
	for _, subject := range []string{
		"Ihre Übertöpfe", strings.Repeat("界", 256), strings.Repeat("a", 300), strings.Repeat("a ", 200) + "b",
		"a: b", "=?utf-8?q?x?", `"quoted", <b@example.com>`,
	} {
		message := newMessage(t)
		message.Content = ports.Content{
			Subject: subject, Language: "en\r\nBcc: bob@example.com",
			Text: "From me\n.\n..\n--x\n\tü " + subject + "\x00 \n", HTML: "<p>" + subject + "</p>\n.\n",
		}
		read, err := mail.ReadMessage(strings.NewReader(sent(t, url.Values{}, message)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := new(mime.WordDecoder).DecodeHeader(read.Header.Get("Subject"))
		if err != nil || got != subject {
			t.Errorf("got subject %q and error %v, want %q", got, err, subject)
		}
		if len(read.Header["Bcc"]) > 0 || read.Header.Get("Content-Language") != "" {
			t.Errorf("got headers %v", read.Header)
		}
		_, params, err := mime.ParseMediaType(read.Header.Get("Content-Type"))
		if err != nil {
			t.Fatal(err)
		}
		parts := multipart.NewReader(read.Body, params["boundary"])
		for _, want := range []string{message.Content.Text, message.Content.HTML} {
			part, err := parts.NextRawPart()
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(quotedprintable.NewReader(part))
			if got := strings.ReplaceAll(string(body), "\r\n", "\n"); err != nil || got != want {
				t.Errorf("got %q and error %v, want %q", got, err, want)
			}
		}
	}
}

func TestHeadersAreSafe(t *testing.T) {
	for _, text := range []string{
		"a\r\nBcc: bob@example.com", "a\nBcc: bob@example.com", "a\rBcc: bob@example.com", "a\r\n\r\nbody", "a\u2028\u0085b", "  a   \t  b  ", "a\x00b",
		strings.Repeat(" ", 500) + "a", "a" + strings.Repeat(" \t", 500),
	} {
		message := newMessage(t)
		message.Content.Subject = text
		message.Event.ID = "x\r\nBcc: bob@example.com"
		message.ID = text
		got := sent(t, url.Values{}, message)
		read, err := mail.ReadMessage(strings.NewReader(got))
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if len(read.Header["Bcc"]) > 0 || len(read.Header["Subject"]) != 1 || len(read.Header) != 11 {
			t.Errorf("%q: got headers %q", text, read.Header)
		}
		if id := read.Header.Get("Message-ID"); !regexp.MustCompile(`^<[0-9a-f]{64}@example\.com>$`).MatchString(id) {
			t.Errorf("%q: got Message-ID %s", text, id)
		}
		header, _, _ := strings.Cut(got, "\r\n\r\n")
		for line := range strings.SplitSeq(header, "\r\n") {
			if strings.TrimSpace(line) == "" || strings.ContainsAny(line, "\x00\r\n") {
				t.Errorf("%q: got the header line %q", text, line)
			}
		}
	}
}

func TestMessageID(t *testing.T) {
	message := newMessage(t)
	first := sent(t, url.Values{}, message)
	message.Attempt++
	want := "<" + message.ID + "@example.com>"
	if again := sent(t, url.Values{}, message); messageID(t, first) != want || messageID(t, again) != want {
		t.Errorf("got the Message-IDs %s and %s, want %s twice", messageID(t, first), messageID(t, again), want)
	}
	message.ID += "2"
	if other := sent(t, url.Values{}, message); messageID(t, first) == messageID(t, other) {
		t.Errorf("got the Message-ID %s for two notifications", messageID(t, other))
	}
}

func messageID(t *testing.T, text string) string {
	t.Helper()
	read, err := mail.ReadMessage(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return read.Header.Get("Message-ID")
}

func TestLongUnsubscribeLinkIsLeftOut(t *testing.T) {
	message := newMessage(t)
	message.Event.Order.UserID = strings.Repeat("界", 128)
	got := sent(t, url.Values{"list_unsubscribe": {"https://example.com/{user_id}"}, "list_unsubscribe_post": {"true"}}, message)
	if strings.Contains(got, "List-Unsubscribe") {
		t.Errorf("got %s, want no List-Unsubscribe", got)
	}
}

func TestHeadersOfUsersAreLeftOutElsewhere(t *testing.T) {
	alert, toUser, toEndpoint, ofTest := newMessage(t), newMessage(t), newMessage(t), newMessage(t)
	alert.Event = domain.Event{Time: alert.Event.Time}
	toUser.Recipient, toEndpoint.Recipient = domain.UserRecipient, "warehouse"
	ofTest.Test = true
	for name, test := range map[string]struct {
		message            ports.Outgoing
		event, unsubscribe bool
	}{
		"alert":       {alert, false, false},
		"to user":     {toUser, true, true},
		"to endpoint": {toEndpoint, true, false}, // its reader must not unsubscribe the user
		"test":        {ofTest, true, false},     // nor must an operator
	} {
		got := sent(t, url.Values{"list_unsubscribe": {"https://example.com/{user_id}"}, "list_unsubscribe_post": {"true"}}, test.message)
		if has := strings.Contains(got, "X-Orderflow-Event"); has != test.event {
			t.Errorf("%s: has a header with an event: %v, want %v", name, has, test.event)
		}
		if has := strings.Contains(got, "List-Unsubscribe"); has != test.unsubscribe {
			t.Errorf("%s: has a header to unsubscribe: %v, want %v", name, has, test.unsubscribe)
		}
	}
}
