package smtpchannel

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/textproto"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// step is a step of sending. Only the server's answers to the last three are about
// the mail.
type step string

const (
	connecting step = "connect"
	greeting   step = "wait for the greeting"
	hello      step = "EHLO"
	startTLS   step = "STARTTLS"
	login      step = "AUTH"
	sender     step = "MAIL"
	recipient  step = "RCPT"
	begin      step = "DATA"
	content    step = "mail"
)

func (s step) isAboutMail() bool { return s == recipient || s == begin || s == content }

// reply is a server's reply, such as 550 5.1.1 No such user.
type reply struct {
	code     int
	enhanced string // RFC 3463, such as "5.1.1"; empty: none
	text     string
}

var enhancedCode = regexp.MustCompile(`^([245])\.(\d{1,3})\.\d{1,3}(?:[ \n]|$)`)

func newReply(code int, text string) reply {
	r := reply{code: code, text: text}
	if found := enhancedCode.FindString(text); found != "" && found[0] == strconv.Itoa(code)[0] {
		r.enhanced = strings.TrimSpace(found)
		r.text = strings.ReplaceAll("\n"+text, "\n"+r.enhanced, "\n") // each line has it
	}
	return r
}

func (r reply) codes() string { return strings.TrimSpace(strconv.Itoa(r.code) + " " + r.enhanced) }

// subject returns the subject of the enhanced code, such as "1" for an address.
func (r reply) subject() string {
	if r.enhanced == "" {
		return ""
	}
	return strings.Split(r.enhanced, ".")[1]
}

// outcome returns the outcome of the reply to a step. The lists name the replies about the
// recipient or the mail. All others are outages: of the server, its rules for the sender,
// or the login.
func (r reply) outcome(s step) domain.Outcome {
	if !s.isAboutMail() {
		return domain.Unreachable
	}
	const address, mailbox, system, protocol, text = "1", "2", "3", "5", "6"
	ours := r.subject() == system && r.enhanced != "5.3.4" || r.subject() == protocol // 5.3.4: the mail is too large
	switch {
	case ours || r.code == 421:
	case r.code == 450 || r.code == 451, r.code/100 == 4 && slices.Contains([]string{address, mailbox, text}, r.subject()):
		return domain.Refused
	case slices.Contains([]int{501, 521, 541, 550, 551, 552, 553, 554, 555, 556}, r.code):
		return domain.Rejected
	}
	return domain.Unreachable
}

// failure returns the answer and the marked error of a step.
func (c *Channel) failure(ctx context.Context, s step, err error, address string) (ports.Answer, error) {
	var said *textproto.Error
	switch {
	case errors.As(err, &said):
		r := newReply(said.Code, said.Msg)
		answer := ports.Answer{Code: r.codes(), Text: c.readable(r.text, address)}
		err := c.failed(fmt.Errorf("%s: %s", s, strings.TrimSpace(answer.Code+" "+answer.Text)))
		switch r.outcome(s) {
		case domain.Refused:
			return answer, err
		case domain.Rejected:
			return answer, ports.Permanent(err)
		}
		return answer, ports.Postpone(err)
	case ctx.Err() != nil:
		return ports.Answer{}, ports.Postpone(c.failed(fmt.Errorf("%s: %w", s, ctx.Err())))
	}
	return ports.Answer{}, ports.Postpone(c.failed(&stepError{string(s) + ": " + c.readable(err.Error(), address), err}))
}

// failed returns the error of sending with the server after its cause, because lists show
// only the beginning.
func (c *Channel) failed(err error) error {
	return fmt.Errorf("%w (mail by %s)", err, c.settings.server())
}

// stepError has the error of a step, with a text that can be shown.
type stepError struct {
	text string
	err  error
}

func (e *stepError) Error() string { return e.text }
func (e *stepError) Unwrap() error { return e.err }

// readable returns the server's or the library's text in one line of bounded length,
// without the login. It masks the recipient's address.
func (c *Channel) readable(text, address string) string {
	text = c.secrets.Replace(strings.ToValidUTF8(text, "\uFFFD"))
	if address != "" {
		text = regexp.MustCompile("(?i)"+regexp.QuoteMeta(address)).ReplaceAllString(text, maskAddress(address))
	}
	text = oneLine(text)
	if len(text) > domain.MaxAnswer {
		text = strings.ToValidUTF8(text[:domain.MaxAnswer], "")
	}
	return text
}

// oneLine returns the text with single spaces instead of control characters and spaces.
func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }), " ")
}

// maskAddress returns an address like a…@example.com.
func maskAddress(address string) string {
	at := strings.LastIndexByte(address, '@')
	return address[:1] + "…" + address[max(at, 1):]
}

// hideLogin returns a replacer of the password, and of the login as AUTH sends it.
func hideLogin(user, password string) *strings.Replacer {
	if password == "" {
		return strings.NewReplacer()
	}
	encode := base64.StdEncoding.EncodeToString
	var pairs []string
	for _, secret := range []string{encode([]byte("\x00" + user + "\x00" + password)), encode([]byte(password)), password} {
		pairs = append(pairs, secret, "…")
	}
	return strings.NewReplacer(pairs...)
}
