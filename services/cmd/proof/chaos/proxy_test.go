package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

func readLine(r *bufio.Reader) ([]byte, error) { return r.ReadBytes('\n') }

// lines is a protocol of lines, in which "step" is a step.
func lines() tap {
	stepOf := func(m []byte) step {
		if string(m) == "step\n" {
			return "step"
		}
		return ""
	}
	return tap{request: stepOf, answer: func(m []byte) step { return stepOf(m).answered() }, read: readLine}
}

// echo starts a server that answers each line with itself, and a proxy to it.
func echo(t *testing.T) *proxy {
	t.Helper()
	addr, stop := fakeServer(t, readLine, func(m []byte) []byte { return m })
	p, err := newProxy(addr, lines)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.close()
		stop()
	})
	return p
}

type lineClient struct {
	net.Conn
	*bufio.Reader
}

func dial(t *testing.T, p *proxy) lineClient {
	t.Helper()
	conn, err := net.Dial("tcp", p.addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return lineClient{conn, bufio.NewReader(conn)}
}

// ask sends the line and returns why no answer came in time, or nil.
func (c lineClient) ask(line string, timeout time.Duration) error {
	if _, err := io.WriteString(c.Conn, line); err != nil {
		return err
	}
	c.SetReadDeadline(time.Now().Add(timeout))
	got, err := c.ReadString('\n')
	if err == nil && got != line {
		err = fmt.Errorf("got %q, want %q", got, line)
	}
	return err
}

func (c lineClient) mustAnswer(t *testing.T) {
	t.Helper()
	if err := c.ask("hello\n", patience); err != nil {
		t.Error(err)
	}
}

func (c lineClient) mustBeSilent(t *testing.T) {
	t.Helper()
	if err := c.ask("hello\n", 50*time.Millisecond); !os.IsTimeout(err) {
		t.Errorf("got %v, want no answer", err)
	}
}

func (c lineClient) mustBeClosed(t *testing.T) {
	t.Helper()
	if err := c.ask("hello\n", patience); err == nil || os.IsTimeout(err) {
		t.Errorf("got %v, want a closed connection", err)
	}
}

func TestProxy(t *testing.T) {
	p := echo(t)
	c := dial(t, p)
	c.mustAnswer(t)
	if n := p.connections(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
	p.cut()
	c.mustBeClosed(t)
	c = dial(t, p)
	c.mustAnswer(t)

	p.refusing.Store(true)
	c.mustAnswer(t)
	dial(t, p).mustBeClosed(t)
	p.refusing.Store(false)
	dial(t, p).mustAnswer(t)

	p.hold(true)
	c.mustBeSilent(t)
	p.hold(false)
	c.SetReadDeadline(time.Now().Add(patience))
	if line, err := c.ReadString('\n'); err != nil || line != "hello\n" {
		t.Errorf("the bytes that were held back: got %q, %v", line, err)
	}

	p.answerBy(func(request []byte) []byte {
		if string(request) == "refused\n" {
			return []byte("no\n")
		}
		return nil
	})
	for _, c := range []lineClient{c, dial(t, p)} {
		if _, err := io.WriteString(c.Conn, "before\nrefused\n"); err != nil {
			t.Fatal(err)
		}
		c.SetReadDeadline(time.Now().Add(patience))
		got := make(map[string]bool)
		for range 2 {
			line, err := c.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			got[line] = true
		}
		if !got["no\n"] || !got["before\n"] {
			t.Errorf("with a stand-in: %v", got)
		}
	}
	p.answerBy(serverAnswers)
	if err := c.ask("refused\n", patience); err != nil {
		t.Errorf("without a stand-in: %v", err)
	}

	p.slow.Store(true)
	began := time.Now()
	c.mustAnswer(t)
	if took := time.Since(began); took < 2*linkDelay {
		t.Errorf("answered after %v, want %v in each direction", took, linkDelay)
	}
	p.slow.Store(false)
	c.Close()
}

// A trap passes on what came before its step, holds back the step and what follows, and
// springs once.
func TestTrap(t *testing.T) {
	for _, s := range []step{"step", "step answered"} {
		t.Run(string(s), func(t *testing.T) {
			p := echo(t)
			c := dial(t, p)
			never := p.set("other")
			p.unset(p.set(s))
			if err := c.ask("step\n", patience); err != nil {
				t.Errorf("after unset: %v", err)
			}
			set := p.set(s)
			c.mustAnswer(t)
			if _, err := io.WriteString(c.Conn, "before\nstep\nafter\n"); err != nil {
				t.Fatal(err)
			}
			c.SetReadDeadline(time.Now().Add(patience))
			if line, err := c.ReadString('\n'); err != nil || line != "before\n" {
				t.Errorf("the line before the step: got %q, %v", line, err)
			}
			select {
			case held := <-set.sprung:
				c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
				if line, err := c.ReadString('\n'); !os.IsTimeout(err) {
					t.Errorf("got %q, %v, want no answer", line, err)
				}
				other := dial(t, p)
				if err := other.ask("step\n", patience); err != nil {
					t.Errorf("another connection: %v", err)
				}
				held.end()
				c.mustBeClosed(t)
			case <-time.After(patience):
				t.Error("the trap did not spring")
			}
			select {
			case <-never.sprung:
				t.Error("a trap sprang at another step")
			default:
			}
		})
	}
}
