package smtpchannel_test

import (
	"context"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

func newCancelledSoon(t testing.TB) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	return ctx, cancel
}

func TestTLSAndLogin(t *testing.T) {
	for _, test := range []struct {
		name    string
		scheme  string
		server  serverOptions
		options func(s *mailServer) url.Values
		tls     bool
		want    string // a part of the error; empty: none
	}{
		{"STARTTLS", "smtp", serverOptions{}, trusted, true, ""},
		{"STARTTLS said", "smtp", serverOptions{}, with("tls", "starttls"), true, ""},
		{"TLS", "smtps", serverOptions{implicitTLS: true}, trusted, true, ""},
		{"no TLS", "smtp", serverOptions{noTLS: true}, only("tls", "none"), false, ""},
		{"LOGIN", "smtp", serverOptions{mechanisms: []string{sasl.Login}}, trusted, true, ""},
		{"LOGIN without TLS", "smtp", serverOptions{noTLS: true, mechanisms: []string{sasl.Login}}, only("tls", "none"), false, ""},
		{"server without TLS", "smtp", serverOptions{noTLS: true}, trusted, false, "STARTTLS: the server does not offer it; use smtps:, or tls=none"},
		{"TLS with a server without", "smtps", serverOptions{noTLS: true}, trusted, false, "first record does not look like a TLS handshake"},
		{"no TLS with a server that wants it", "smtp", serverOptions{}, only("tls", "none"), false, "AUTH: the server offers none of"},
		{"unknown authority", "smtp", serverOptions{}, only("tls", "starttls"), false, "STARTTLS: tls: failed to verify certificate"},
		{"unknown authority, TLS", "smtps", serverOptions{implicitTLS: true}, only("reply_to", "a@b"), false, "tls: failed to verify certificate"},
		{"unknown way to log in", "smtp", serverOptions{mechanisms: []string{"XOAUTH2"}}, trusted, true, "AUTH: the server offers none of PLAIN, LOGIN, CRAM-MD5"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, test.server)
			_, err := open(t, test.scheme, s.address, test.options(s)).Send(t.Context(), newMessage(t))
			mails := s.accepted()
			if test.want != "" {
				if ports.OutcomeOf(err) != domain.Unreachable || !strings.Contains(err.Error(), test.want) || len(mails) > 0 {
					t.Errorf("got %v and %d mails, want an error with %q", err, len(mails), test.want)
				}
				return
			}
			if err != nil || len(mails) != 1 || mails[0].tls != test.tls || mails[0].from != "shop@example.com" || mails[0].to != address {
				t.Errorf("got %v and %+v, want a mail with TLS: %t", err, mails, test.tls)
			}
		})
	}
}

func trusted(s *mailServer) url.Values { return url.Values{"cacertfile": {s.ca}} }

func with(name, value string) func(*mailServer) url.Values {
	return func(s *mailServer) url.Values { return url.Values{"cacertfile": {s.ca}, name: {value}} }
}

func only(name, value string) func(*mailServer) url.Values {
	return func(*mailServer) url.Values { return url.Values{name: {value}} }
}

func TestWrongPasswordIsAnOutage(t *testing.T) {
	s := newServer(t, serverOptions{})
	s.become(at("auth", 535, 5, 7, 8), false)()
	answer, err := open(t, "smtp", s.address, trusted(s)).Send(t.Context(), newMessage(t))
	want := ports.Answer{Code: "535 5.7.8", Text: "no, …, … for a…@example.com"}
	if ports.OutcomeOf(err) != domain.Unreachable || answer != want {
		t.Errorf("got %+v and %v, want %+v", answer, err, want)
	}
}

func TestSessionIsKept(t *testing.T) {
	s := newServer(t, serverOptions{})
	c := open(t, "smtp", s.address, trusted(s))
	for range 3 {
		if _, err := c.Send(t.Context(), newMessage(t)); err != nil {
			t.Fatal(err)
		}
	}
	// A recipient that is refused ends the mail, and not the session.
	s.become(at("rcpt", 550), false)()
	if _, err := c.Send(t.Context(), newMessage(t)); ports.OutcomeOf(err) != domain.Rejected {
		t.Fatal(err)
	}
	s.become(nil, false)()
	if _, err := c.Send(t.Context(), newMessage(t)); err != nil {
		t.Fatal(err)
	}
	if got := s.begun(); got != 2 { // STARTTLS begins another
		t.Errorf("the server has seen %d sessions, want one and its STARTTLS", got)
	}
	if got := len(s.accepted()); got != 4 {
		t.Errorf("got %d mails, want 4", got)
	}
}

func TestDeadSessionIsReplaced(t *testing.T) {
	s := newServer(t, serverOptions{})
	c := open(t, "smtp", s.address, trusted(s))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := c.Send(t.Context(), newMessage(t)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s.cut()
	for range 5 {
		if _, err := c.Send(t.Context(), newMessage(t)); err != nil {
			t.Errorf("after a cut: %v", err)
		}
	}
	if got := len(s.accepted()); got != 9 {
		t.Errorf("got %d mails, want 9", got)
	}
}

func TestSessionOfRefusedMailIsReplaced(t *testing.T) {
	for _, answer := range []string{"421 4.4.2 timeout", "451 4.7.0 too many mails on this connection", "550 5.5.1 wrong order", cut, hang} {
		t.Run(answer, func(t *testing.T) {
			t.Parallel()
			s := newScript(t, nil)
			c := s.openPlain(t)
			if _, err := c.Send(t.Context(), newMessage(t)); err != nil {
				t.Fatal(err)
			}
			s.onFirstConnection("MAIL", answer)
			if _, err := c.Send(t.Context(), newMessage(t)); err != nil {
				t.Errorf("got %v, want the mail on another connection", err)
			}
			if connections, _, texts := s.seen(); connections != 2 || len(texts) != 2 {
				t.Errorf("got %d texts on %d connections, want 2 on 2", len(texts), connections)
			}
		})
	}
}

func TestLostAnswerIsNotRepeated(t *testing.T) {
	s := newScript(t, nil)
	c := s.openPlain(t)
	if _, err := c.Send(t.Context(), newMessage(t)); err != nil {
		t.Fatal(err)
	}
	s.onFirstConnection("text", cut)
	if _, err := c.Send(t.Context(), newMessage(t)); ports.OutcomeOf(err) != domain.Unreachable {
		t.Errorf("got %v, want an outage", err)
	}
	if connections, _, texts := s.seen(); connections != 1 || len(texts) != 2 {
		t.Errorf("got %d texts on %d connections, want 2 on 1", len(texts), connections)
	}
}

func TestSessionOutOfStepIsNotKept(t *testing.T) {
	s := newScript(t, map[string]string{"text": "250 queued\r\n250 and another answer"})
	c := s.openPlain(t)
	for range 2 {
		if _, err := c.Send(t.Context(), newMessage(t)); err != nil {
			t.Fatal(err)
		}
	}
	if connections, _, _ := s.seen(); connections != 2 {
		t.Errorf("got %d connections, want 2", connections)
	}
}

func TestIdleSessionEnds(t *testing.T) {
	s := newScript(t, nil)
	c := s.openPlain(t)
	c.SetIdle(50 * time.Millisecond)
	if _, err := c.Send(t.Context(), newMessage(t)); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		_, commands, _ := s.seen()
		if c.Idle() == 0 && slices.Contains(commands, "QUIT") {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d sessions are idle after commands %v, want none after QUIT", c.Idle(), commands)
		}
	}
}

func TestCloseEndsSessions(t *testing.T) {
	s := newScript(t, map[string]string{"QUIT": hang})
	c := s.openPlain(t)
	if _, err := c.Send(t.Context(), newMessage(t)); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil || c.Idle() != 0 {
		t.Errorf("got error %v and %d idle sessions", err, c.Idle())
	}
	if _, err := c.Send(t.Context(), newMessage(t)); ports.OutcomeOf(err) != domain.Unreachable {
		t.Errorf("after Close: got %v, want an outage", err)
	}
}

func TestSendRefusesWrongAddress(t *testing.T) {
	s := newScript(t, nil)
	message := newMessage(t)
	message.Address = "ann@example.com>\r\nRCPT TO:<bob@example.com"
	_, err := s.openPlain(t).Send(t.Context(), message)
	if connections, _, _ := s.seen(); ports.OutcomeOf(err) != domain.Rejected || connections != 0 || strings.Contains(err.Error(), "bob") {
		t.Errorf("got %v on %d connections, want a rejection without the address", err, connections)
	}
}

// The error names the step once, and then the cause.
func TestSendNamesRefusedConnection(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	_, err = open(t, "smtp", listener.Addr().String(), url.Values{}).Send(t.Context(), newMessage(t))
	if want := "connect: connection refused (mail by " + listener.Addr().String() + ")"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestSTARTTLSMayFail(t *testing.T) {
	for _, answer := range []string{"454 4.7.0 not now", "554 no", "220 go ahead", "250 ok", "what?", cut, hang, endless} {
		t.Run(answer, func(t *testing.T) {
			t.Parallel()
			s := newScript(t, map[string]string{"EHLO": "250-mail.example.com\r\n250-AUTH PLAIN\r\n250 STARTTLS", "STARTTLS": answer})
			c := open(t, "smtp", s.address, url.Values{})
			c.SetTimeout(300 * time.Millisecond)
			_, err := c.Send(t.Context(), newMessage(t))
			if ports.OutcomeOf(err) != domain.Unreachable || !strings.HasPrefix(err.Error(), "STARTTLS: ") || !strings.HasSuffix(err.Error(), " (mail by "+s.address+")") {
				t.Errorf("got %v, want an outage at STARTTLS", err)
			}
			if _, commands, texts := s.seen(); slices.Contains(commands, "AUTH") || slices.Contains(commands, "MAIL") || len(texts) > 0 {
				t.Errorf("the server got the commands %q in plain text", commands)
			}
		})
	}
}

func TestSessionsAreAsManyAsCallers(t *testing.T) {
	for _, test := range []struct {
		connections string
		want        int
	}{{"50", 16}, {"3", 3}} {
		s := newScript(t, nil)
		c := open(t, "smtp", s.address, url.Values{"tls": {"none"}, "connections": {test.connections}})
		const callers, each = 16, 10
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				for range each {
					if _, err := c.Send(t.Context(), newMessage(t)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if connections, _, texts := s.seen(); connections > test.want || len(texts) != callers*each {
			t.Errorf("got %d texts on %d connections, want %d on at most %d", len(texts), connections, callers*each, test.want)
		}
	}
}

func TestWaitForConnectionEndsWithContext(t *testing.T) {
	s := newScript(t, map[string]string{"RCPT": hang})
	c := open(t, "smtp", s.address, url.Values{"tls": {"none"}, "connections": {"1"}})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if _, err := c.Send(ctx, newMessage(t)); ports.OutcomeOf(err) != domain.Unreachable || !strings.Contains(err.Error(), "context canceled") {
				t.Errorf("got %v, want the context's error, postponed", err)
			}
		})
	}
	for {
		if _, commands, _ := s.seen(); slices.Contains(commands, "RCPT") {
			break
		}
		time.Sleep(time.Millisecond)
	}
	cancel()
	wg.Wait()
	if connections, _, _ := s.seen(); connections != 1 {
		t.Errorf("got %d connections, want 1", connections)
	}
}
