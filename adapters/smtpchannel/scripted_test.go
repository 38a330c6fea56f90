package smtpchannel_test

import (
	"bufio"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/orderflow/adapters/smtpchannel"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// What a scripted server does at a step, instead of an answer.
const (
	cut     = "cut"     // it closes the connection
	hang    = "hang"    // it says nothing more
	endless = "endless" // it sends an answer without end
)

// script is a server that answers each command by its plan, and that sends nothing of
// its own accord. It understands no TLS.
type script struct {
	address string
	plan    map[string]string // by the command: the answer, without CR LF at its end, or what the server does

	mu          sync.Mutex
	later       map[string]string // the plan of the first connection, from some time on
	connections int
	commands    []string
	texts       []string // the mails' texts that arrived as a whole
}

// newScript starts a server that accepts a mail, except for the changes of its plan.
func newScript(t testing.TB, changes map[string]string) *script {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &script{address: listener.Addr().String(), plan: map[string]string{
		"connect":  "220 mail.example.com ready",
		"EHLO":     "250-mail.example.com\r\n250 AUTH PLAIN",
		"HELO":     "250 mail.example.com",
		"STARTTLS": "220 go ahead",
		"AUTH":     "235 2.7.0 welcome",
		"MAIL":     "250 2.1.0 sender ok",
		"RCPT":     "250 2.1.5 recipient ok",
		"DATA":     "354 go ahead",
		"text":     "250 2.0.0 queued as 1",
		"RSET":     "250 2.0.0 reset",
		"QUIT":     "221 2.0.0 bye",
	}}
	for step, answer := range changes {
		s.plan[step] = answer
	}
	done := make(chan struct{})
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { s.serve(conn, done) })
		}
	})
	t.Cleanup(func() {
		close(done)
		listener.Close()
		serving.Wait()
	})
	return s
}

func (s *script) serve(conn net.Conn, done <-chan struct{}) {
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-done:
		case <-stop:
		}
		conn.Close()
	}()
	s.mu.Lock()
	s.connections++
	first := s.connections == 1
	s.mu.Unlock()
	in := bufio.NewReader(conn)
	for step := "connect"; ; {
		switch answer := s.answer(step, first); answer {
		case cut:
			return
		case hang:
			io.Copy(io.Discard, in)
			return
		case endless:
			for {
				if _, err := io.WriteString(conn, "250-"+strings.Repeat("x", 1000)+"\r\n"); err != nil {
					return
				}
			}
		default:
			if _, err := io.WriteString(conn, answer+"\r\n"); err != nil {
				return
			}
			if step == "DATA" && strings.HasPrefix(answer, "354") {
				if !s.readText(in) {
					return
				}
				step = "text"
				continue
			}
		}
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		step, _, _ = strings.Cut(strings.TrimSpace(line), " ")
		s.mu.Lock()
		s.commands = append(s.commands, step)
		s.mu.Unlock()
	}
}

func (s *script) answer(step string, first bool) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if answer, ok := s.later[step]; ok && first {
		return answer
	}
	return s.plan[step]
}

// onFirstConnection changes the plan of the first connection.
func (s *script) onFirstConnection(step, answer string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.later = map[string]string{step: answer}
}

// readText reads the mail's text up to the line with a dot.
func (s *script) readText(in *bufio.Reader) bool {
	if s.plan["text"] == "cut within" {
		in.ReadString('\n')
		return false
	}
	var text strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return false
		}
		if line == ".\r\n" {
			break
		}
		text.WriteString(strings.TrimPrefix(line, ".")) // RFC 5321, 4.5.2
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.texts = append(s.texts, text.String())
	return true
}

func (s *script) seen() (connections int, commands, texts []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connections, slices.Clone(s.commands), slices.Clone(s.texts)
}

// openPlain opens a channel to the server without TLS.
func (s *script) openPlain(t testing.TB) *smtpchannel.Channel {
	c := open(t, "smtp", s.address, url.Values{"tls": {"none"}})
	c.SetTimeout(300 * time.Millisecond)
	return c
}

func newMessage(t testing.TB) ports.Outgoing {
	t.Helper()
	o, err := domain.NewOrder("0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234", "123", "Laptop", 2, time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	event := o.Created()
	key := domain.NotificationKey{EventID: event.ID, Channel: "email", Recipient: domain.UserRecipient}
	return ports.Outgoing{
		ID: key.String(), Event: event, Attempt: 1, Address: address,
		Content: ports.Content{Language: "en", Subject: "Your order", Text: "Thank you."},
	}
}

// TestEveryStepMayFail lets a server fail at each step, in each way.
func TestEveryStepMayFail(t *testing.T) {
	outages := map[string]string{
		"cut": cut, "hang": hang, "endless": endless, "garbage": "\x00\x80 what?", "empty": "", "no code": "hello", "continued without end": "250-x\r\n\r\n",
		"421": "421 4.3.2 going down", "5.3.2": "550 5.3.2 not accepting mails", "5.5.1": "554 5.5.1 wrong order", "503": "503 wrong order", "530": "530 5.7.0 log in first", "unexpected": "399 what?",
		"a full disk": "452 4.3.1 full", "452": "452 full", "451 4.3.0": "451 4.3.0 can't write", "451 4.5.1": "451 4.5.1 wrong order", "454": "454 4.7.0 no login now",
	}
	byStep := map[string]map[string]domain.Outcome{
		"connect": {"554 5.7.1 you are blocked": domain.Unreachable, "250 hello": domain.Unreachable},
		"EHLO":    {"550 5.7.1 you are blocked": domain.Unreachable}, // HELO follows, which offers no AUTH
		"AUTH":    {"535 5.7.8 wrong": domain.Unreachable, "454 4.7.0 later": domain.Unreachable, "451 later": domain.Unreachable, "334 ": domain.Unreachable},
		"MAIL":    {"550 5.7.1 sender refused": domain.Unreachable, "553 5.1.8 no such sender": domain.Unreachable, "450 later": domain.Unreachable, "451 4.7.1 later": domain.Unreachable},
	}
	for _, step := range []string{"RCPT", "DATA", "text"} {
		byStep[step] = map[string]domain.Outcome{
			"450 busy": domain.Refused, "450 4.2.1 busy": domain.Refused, "452 4.2.2 mailbox full": domain.Refused, "451 4.1.8 no such sender now": domain.Refused, "450 4.6.0 odd text": domain.Refused,
			"451 4.7.1 greylisted": domain.Refused, "450 4.2.0 greylisted": domain.Refused, "451 greylisted": domain.Refused, "450 4.4.3 no DNS": domain.Refused, "421 4.2.1 busy": domain.Unreachable,
			"550 no such user": domain.Rejected, "550 5.1.1 no such user": domain.Rejected, "552 5.2.2 mailbox full": domain.Rejected, "552 5.3.4 too large": domain.Rejected,
			"553 bad name": domain.Rejected, "554 5.7.1 spam": domain.Rejected, "501 5.1.3 bad address": domain.Rejected, "556 5.1.10 no mail here": domain.Rejected,
			"550-5.1.1 no such\r\n550 5.1.1 user": domain.Rejected, "550 4.2.1 unclear": domain.Rejected,
			"500 what?": domain.Unreachable, "502 what?": domain.Unreachable, "535 5.7.8 log in": domain.Unreachable,
		}
	}
	byStep["text"]["251 accepted in an unusual way"] = domain.Accepted
	byStep["RCPT"]["251 forwarded"] = domain.Accepted

	for step, answers := range byStep {
		for name, answer := range outages {
			if _, ok := answers[answer]; ok {
				t.Fatalf("%s: %s is given twice", step, name)
			}
			answers[answer] = domain.Unreachable
		}
		if step == "text" {
			answers["cut within"] = domain.Unreachable
		}
		for answer, want := range answers {
			t.Run(step+" "+answer, func(t *testing.T) {
				t.Parallel()
				s := newScript(t, map[string]string{step: answer})
				c := s.openPlain(t)
				began := time.Now()
				got, err := c.Send(t.Context(), newMessage(t))
				if outcome := ports.OutcomeOf(err); outcome != want {
					t.Errorf("got %s (%v), want %s", outcome, err, want)
				}
				if took := time.Since(began); took > 20*time.Second {
					t.Errorf("took %v", took)
				}
				if err != nil && (len(err.Error()) > 1300 || strings.ContainsAny(err.Error(), "\r\n\x00") || strings.Contains(err.Error(), address)) {
					t.Errorf("got %q, want one short line without the address", err)
				}
				if code, _, _ := strings.Cut(got.Code, " "); want == domain.Rejected || want == domain.Refused {
					if code != answer[:3] || got.Text == "" {
						t.Errorf("got code %q and text %q of %q", got.Code, got.Text, answer)
					}
				}
				connections, _, texts := s.seen()
				if arrived := step == "text" && answer != "cut within" || want == domain.Accepted; connections != 1 || arrived != (len(texts) == 1) || len(texts) > 1 {
					t.Errorf("got %d texts on %d connections", len(texts), connections)
				}
			})
		}
	}
}

func TestAnswerHasCodesAndText(t *testing.T) {
	for _, test := range []struct {
		answer string
		want   ports.Answer
	}{
		{"250 2.0.0 queued as 1", ports.Answer{Code: "250 2.0.0", Text: "queued as 1"}},
		{"550 no such user", ports.Answer{Code: "550", Text: "no such user"}},
		{"550 5.1.1 no <ANN@example.com>", ports.Answer{Code: "550 5.1.1", Text: "no <a…@example.com>"}},
		{"550-5.1.1 no\r\n550-5.1.1 such\r\n550 5.1.1 user", ports.Answer{Code: "550 5.1.1", Text: "no such user"}},
		{"550 4.1.1 no such user", ports.Answer{Code: "550", Text: "4.1.1 no such user"}},
		{"550 5.1.1", ports.Answer{Code: "550 5.1.1"}},
		{"550 5.1.1 a\x00b\tc\x80 " + password, ports.Answer{Code: "550 5.1.1", Text: "a b c\uFFFD …"}},
		{"550 " + strings.Repeat("ü", 600), ports.Answer{Code: "550", Text: strings.Repeat("ü", 512)}},
	} {
		s := newScript(t, map[string]string{"text": test.answer})
		got, _ := s.openPlain(t).Send(t.Context(), newMessage(t))
		if got != test.want {
			t.Errorf("%q: got %+v, want %+v", test.answer, got, test.want)
		}
	}
}

func TestCancelledContextEndsEveryStep(t *testing.T) {
	for _, step := range []string{"connect", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "text"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			s := newScript(t, map[string]string{step: hang})
			c := s.openPlain(t)
			c.SetTimeout(time.Hour)
			ctx, cancel := newCancelledSoon(t)
			defer cancel()
			_, err := c.Send(ctx, newMessage(t))
			if ports.OutcomeOf(err) != domain.Unreachable || ctx.Err() == nil || !strings.Contains(err.Error(), "context canceled") {
				t.Errorf("got %v, want the context's error, postponed", err)
			}
		})
	}
}
