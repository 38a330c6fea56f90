package smtpchannel_test

import (
	"encoding/base64"
	"net/mail"
	"net/url"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"
	"go.uber.org/goleak"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports/porttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const address = "ann@example.com"

var loginLine = base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))

// messageIDs returns the part before the @ of the mails' ids.
func messageIDs(t testing.TB, mails []received) (ids []string) {
	for _, m := range mails {
		read, err := mail.ReadMessage(strings.NewReader(m.mail))
		if err != nil {
			t.Errorf("read mail: %v\n%s", err, m.mail)
			continue
		}
		id, _, _ := strings.Cut(strings.Trim(read.Header.Get("Message-ID"), "<>"), "@")
		ids = append(ids, id)
	}
	return ids
}

// at returns the server's refusal at a step. It repeats the login and the address.
func at(step string, code int, enhanced ...int) map[string]error {
	err := &smtp.SMTPError{Code: code, EnhancedCode: smtp.NoEnhancedCode, Message: "no, " + password + ", " + loginLine + " for " + address}
	if len(enhanced) == 3 {
		err.EnhancedCode = smtp.EnhancedCode(enhanced)
	}
	return map[string]error{step: err}
}

func TestChannel(t *testing.T) {
	porttest.Run(t, porttest.ChannelClauses(), func(t testing.TB) porttest.Channel {
		s := newServer(t, serverOptions{})
		c := open(t, "smtp", s.address, url.Values{"cacertfile": {s.ca}})
		return porttest.Channel{
			Channel:        c,
			Received:       func() []string { return messageIDs(t, s.accepted()) },
			Address:        address,
			WrongAddresses: wrongAddresses,
			Hang:           s.hang,
			Heal:           s.become(nil, false),
			Secrets:        []string{password, loginLine, base64.StdEncoding.EncodeToString([]byte(password)), address},
			Faults: []porttest.ReceiverFault{
				{Name: "450 after RCPT", Begin: s.become(at("rcpt", 450), false), Outcome: domain.Refused, Code: "450"},
				{Name: "452 4.2.2 after RCPT", Begin: s.become(at("rcpt", 452, 4, 2, 2), false), Outcome: domain.Refused, Code: "452 4.2.2"},
				{Name: "550 after RCPT", Begin: s.become(at("rcpt", 550), false), Outcome: domain.Rejected, Code: "550"},
				{Name: "554 5.6.0 after the text", Begin: s.become(at("data", 554, 5, 6, 0), false), Outcome: domain.Rejected, Code: "554 5.6.0"},
				{Name: "451 4.3.0 after MAIL", Begin: s.become(at("mail", 451, 4, 3, 0), false), Outcome: domain.Unreachable, Code: "451 4.3.0"},
				{Name: "421 after the text", Begin: s.become(at("data", 421), false), Outcome: domain.Unreachable, Code: "421"},
				{Name: "535 after AUTH", Begin: func() { s.become(at("auth", 535, 5, 7, 8), false)(); s.cut() }, Outcome: domain.Unreachable, Code: "535 5.7.8"},
				{Name: "no connection", Begin: s.become(nil, true), Outcome: domain.Unreachable},
			},
		}
	})
}
