package harness

import (
	"bytes"
	"errors"
	"io"
	"log"
	"net"
	"net/mail"
	"strings"
	"time"

	"github.com/emersion/go-smtp"
)

// StartMailServer starts a mail server without TLS.
func StartMailServer() (*Receiver, error) {
	return startReceiver(func(l *life, listener net.Listener) io.Closer {
		server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &mailSession{life: l}, nil }))
		server.Domain = "localhost"
		server.ReadTimeout, server.WriteTimeout = time.Minute, time.Minute
		server.MaxRecipients, server.MaxMessageBytes = 1, 1<<20
		server.ErrorLog = log.New(io.Discard, "", 0) // kills and cuts are no news
		go func() { _ = server.Serve(listener) }()   // ends with Close
		return server
	})
}

// mailSession is a connection to the mail server.
type mailSession struct {
	*life
	to string
}

var (
	replyBusy    = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 2}, Message: "System not accepting mail"}
	replyRefused = &smtp.SMTPError{Code: 450, EnhancedCode: smtp.EnhancedCode{4, 2, 1}, Message: "Mailbox busy"}
	replyBad     = &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "No mail of ours"}
)

func (*mailSession) Reset()        {}
func (*mailSession) Logout() error { return nil }

func (s *mailSession) Mail(string, *smtp.MailOptions) error {
	if s.isBusy() {
		return replyBusy
	}
	return nil
}

func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = to
	return nil
}

func (s *mailSession) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	id, err := mailID(data)
	if err != nil {
		s.fault("mail to %s: %v", s.to, err)
		return replyBad
	}
	if err := s.accept(id, s.to, data); errors.Is(err, errRefused) {
		return replyRefused
	} else if err != nil {
		return err
	}
	return nil
}

// mailID returns the notification's id, which is the first part of the mail's.
func mailID(data []byte) (string, error) {
	m, err := mail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		return "", err
	}
	id, _, ok := strings.Cut(strings.Trim(m.Header.Get("Message-ID"), "<>"), "@")
	if !ok || id == "" {
		return "", errors.New("it has no Message-ID")
	}
	return id, nil
}
