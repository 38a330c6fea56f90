package smtpchannel

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// userPlaceholder stands for the user's id in the option list_unsubscribe.
const userPlaceholder = "{user_id}"

var (
	plainID     = regexp.MustCompile(`^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$`)
	languageTag = regexp.MustCompile(`^[A-Za-z0-9-]{1,35}$`)
)

// compose returns the mail, as the server gets it.
func (s settings) compose(message ports.Outgoing, now time.Time) ([]byte, error) {
	content := message.Content
	m := gomail.NewMsg(gomail.WithNoDefaultUserAgent(), gomail.WithEncoding(gomail.EncodingQP))
	m.FromMailAddress(s.from)
	if err := m.To(message.Address); err != nil {
		return nil, err
	}
	if s.replyTo != nil {
		m.ReplyToMailAddress(s.replyTo)
	}
	m.SetDateWithValue(now.UTC())
	m.SetMessageIDWithValue(s.messageID(message.ID))
	m.Subject(subject(message))
	m.SetGenHeader("Auto-Submitted", "auto-generated")
	if message.Event.ID != "" {
		m.SetGenHeader("X-Orderflow-Event", string(message.Event.ID))
	}
	if message.Test {
		m.SetGenHeader("X-Orderflow-Test", "true")
	}
	if languageTag.MatchString(content.Language) {
		m.SetGenHeader("Content-Language", content.Language)
	}
	if link := s.unsubscribeLink(message); link != "" {
		m.SetGenHeader(gomail.HeaderListUnsubscribe, "<"+link+">")
		if s.oneClick {
			m.SetGenHeader(gomail.HeaderListUnsubscribePost, "List-Unsubscribe=One-Click")
		}
	}
	m.SetBodyString(gomail.TypeTextPlain, cmp.Or(content.Text, plainText(message.Event.Order)))
	if content.HTML != "" {
		m.AddAlternativeString(gomail.TypeTextHTML, content.HTML)
	}
	var out bytes.Buffer
	_, err := m.WriteTo(&out)
	return out.Bytes(), err
}

// messageID returns the mail's id. It is the same at each attempt, so that the
// receiver recognises a repeat.
func (s settings) messageID(id string) string {
	if len(id) > 160 || !plainID.MatchString(id) {
		sum := sha256.Sum256([]byte(id))
		id = hex.EncodeToString(sum[:])
	}
	_, domain, _ := strings.Cut(s.from.Address, "@")
	return id + "@" + domain
}

// unsubscribeLink returns an empty text if the mail is not for the order's user, or if the
// link does not fit into a header's line. A test has no user's link: its reader is another.
func (s settings) unsubscribeLink(message ports.Outgoing) string {
	userID := message.Event.Order.UserID
	if userID == "" || message.Test && strings.Contains(s.unsubscribe, userPlaceholder) ||
		message.Recipient != "" && message.Recipient != domain.UserRecipient {
		return ""
	}
	escaped := strings.ReplaceAll(url.QueryEscape(userID), "+", "%20")
	link := strings.ReplaceAll(s.unsubscribe, userPlaceholder, escaped)
	if len(link) > 900 {
		return ""
	}
	return link
}

// subject returns the subject in one line.
func subject(message ports.Outgoing) string {
	line := cmp.Or(oneLine(message.Content.Subject), "Order "+string(message.Event.Order.ID))
	if message.Test {
		line = "[Test] " + line
	}
	return line
}

// plainText is the text of a notification that was sent without templates.
func plainText(o domain.Order) string {
	return fmt.Sprintf("Order %s: %d × %s\n", o.ID, o.Quantity, o.Product)
}
