package smtpchannel

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/wneessen/go-mail/smtp"
)

// timeouts bound the steps. RFC 5321 asks for longer ones, but a notification is tried
// again. Only the wait for the last answer is long, because the mail is sent twice if the
// answer comes later.
type timeouts struct {
	connect time.Duration
	resume  time.Duration // the first command on a kept session, which may be dead
	command time.Duration
	accept  time.Duration // from the mail's end to the server's answer
	quit    time.Duration
	idle    time.Duration // how long a session is kept without a mail
}

var defaultTimeouts = timeouts{
	connect: 10 * time.Second,
	resume:  5 * time.Second,
	command: 30 * time.Second,
	accept:  5 * time.Minute,
	quit:    2 * time.Second,
	idle:    30 * time.Second,
}

// maxReply bounds what the server may send at one step, TLS handshake included.
const maxReply = 128 << 10

var errLongReply = errors.New("the server's answer is too long")

// conn is a connection on which the server may send only so much at each step.
type conn struct {
	net.Conn
	left int
}

func (c *conn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errLongReply
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// session is a connection that is logged in. One mail at a time uses it.
type session struct {
	client *smtp.Client
	conn   *conn
	kept   bool        // it has sent a mail before
	open   bool        // a mail transaction has begun and is not finished
	expiry *time.Timer // runs while the session is idle
}

// do runs one step, within the timeout.
func (s *session) do(timeout time.Duration, f func() error) error {
	s.conn.left = maxReply
	err := s.conn.SetDeadline(time.Now().Add(timeout))
	if err == nil {
		err = f()
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("no answer within %v", timeout)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return errors.New("the connection was closed")
	}
	return err
}

// bind closes the session's connection when the context ends. The caller calls
// release, which reports whether the connection is still open.
func (s *session) bind(ctx context.Context) (release func() bool) {
	return context.AfterFunc(ctx, func() { s.conn.Close() })
}

// connect opens a session. Its error names the step.
func (c *Channel) connect(ctx context.Context) (s *session, at step, err error) {
	dialer := net.Dialer{Timeout: c.timeouts.connect}
	raw, err := dialer.DialContext(ctx, "tcp", c.settings.server())
	if err != nil {
		return nil, connecting, withoutAddress(err)
	}
	s = &session{conn: &conn{Conn: raw}}
	release := s.bind(ctx)
	defer func() {
		if !release() || err != nil {
			s.conn.Close()
		}
	}()
	at, err = c.logIn(s)
	return s, at, err
}

// logIn runs the steps before the first mail.
func (c *Channel) logIn(s *session) (at step, err error) {
	config := &tls.Config{ServerName: c.settings.host, RootCAs: c.settings.authorities, MinVersion: tls.VersionTLS12}
	if err := s.do(c.timeouts.command, func() (err error) {
		var stream net.Conn = s.conn
		if c.settings.implicitTLS {
			stream = tls.Client(s.conn, config)
		}
		s.client, err = smtp.NewClient(stream, c.settings.host)
		return err
	}); err != nil {
		return greeting, err
	}
	if err := s.do(c.timeouts.command, func() error { return s.client.Hello(localName()) }); err != nil {
		return hello, err
	}
	if !c.settings.implicitTLS && !c.settings.noTLS {
		if ok, _ := s.client.Extension("STARTTLS"); !ok {
			return startTLS, errors.New("the server does not offer it; use smtps:, or tls=none to send everything in plain text")
		}
		if err := s.do(c.timeouts.command, func() error { return s.client.StartTLS(config) }); err != nil {
			return startTLS, err
		}
	}
	if c.settings.user == "" {
		return "", nil
	}
	auth, err := c.settings.auth(s.client)
	if err == nil {
		err = s.do(c.timeouts.command, func() error { return s.client.Auth(auth) })
	}
	return login, err
}

// auth returns the mechanism to log in. It avoids SCRAM, because the library lets the
// server choose the amount of work.
func (s settings) auth(client *smtp.Client) (smtp.Auth, error) {
	_, offered := client.Extension("AUTH")
	ways := strings.Fields(strings.ToUpper(offered))
	plain := map[string]smtp.Auth{
		"PLAIN":    smtp.PlainAuth("", s.user, s.password, s.host, s.noTLS),
		"LOGIN":    smtp.LoginAuth(s.user, s.password, s.host, s.noTLS),
		"CRAM-MD5": smtp.CRAMMD5Auth(s.user, s.password),
	}
	order := []string{"PLAIN", "LOGIN", "CRAM-MD5"}
	if s.noTLS {
		order = []string{"CRAM-MD5", "PLAIN", "LOGIN"}
	}
	for _, way := range order {
		if slices.Contains(ways, way) {
			return plain[way], nil
		}
	}
	return nil, fmt.Errorf("the server offers none of %s", strings.Join(order, ", "))
}

// deliver sends the mail and returns the server's reply, or the step that has failed.
func (c *Channel) deliver(s *session, address string, mail []byte) (reply, step, error) {
	command := func(f func() error) error { return s.do(c.timeouts.command, f) }
	first := c.timeouts.command
	if s.kept {
		first = c.timeouts.resume
	}
	if err := s.do(first, func() error {
		if s.open {
			if err := s.client.Reset(); err != nil {
				return err
			}
		}
		s.open = true
		return s.client.Mail("<" + c.settings.from.Address + ">")
	}); err != nil {
		return reply{}, sender, err
	}
	if err := command(func() error { return s.client.Rcpt("<" + address + ">") }); err != nil {
		return reply{}, recipient, err
	}
	var body *smtp.DataCloser
	if err := command(func() error {
		w, err := s.client.Data()
		if err == nil {
			body = w.(*smtp.DataCloser)
		}
		return err
	}); err != nil {
		return reply{}, begin, err
	}
	if err := command(func() error { _, err := body.Write(mail); return err }); err != nil {
		return reply{}, content, fmt.Errorf("write: %w", err)
	}
	err := s.do(c.timeouts.accept, body.Close)
	var said *textproto.Error
	switch {
	case err == nil:
		s.open = false
		return newReply(250, body.ServerResponse()), "", nil
	case errors.As(err, &said) && said.Code/100 == 2: // accepted, in an unusual way
		s.open = false
		return newReply(said.Code, said.Msg), "", nil
	}
	return reply{}, content, err
}

// quit ends the session by QUIT, within the timeout.
func (s *session) quit(timeout time.Duration) {
	s.do(timeout, s.client.Quit)
	s.conn.Close()
}

func localName() string {
	name, err := os.Hostname()
	if err != nil || !domainName.MatchString(name) {
		return "localhost"
	}
	return name
}

// withoutAddress returns the error of a dial without the server's address and the name of
// the call, which the caller adds.
func withoutAddress(err error) error {
	var op *net.OpError
	var call *os.SyscallError
	switch {
	case errors.As(err, &call):
		return call.Err
	case errors.As(err, &op):
		return op.Err
	}
	return err
}
