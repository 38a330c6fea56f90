package main

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
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

// What a client may get instead of a line.
const (
	silence = "silence"
	closed  = "closed"
)

// mustGet sends the text, which may be empty, and wants these lines, in any order.
func (c lineClient) mustGet(t *testing.T, text string, want ...string) {
	t.Helper()
	_, err := io.WriteString(c.Conn, text)
	timeout := patience
	if slices.Contains(want, silence) {
		timeout = 50 * time.Millisecond
	}
	c.SetReadDeadline(time.Now().Add(timeout))
	var got []string
	for range want {
		line := closed
		if err == nil {
			line, err = c.ReadString('\n')
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			line = silence
		case err != nil:
			line = closed
		}
		got = append(got, line)
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("sent %q: got %q, want %q", text, got, want)
	}
}

func TestProxy(t *testing.T) {
	p := echo(t)
	c := dial(t, p)
	c.mustGet(t, "hello\n", "hello\n")
	if n := p.connections(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
	p.cut()
	c.mustGet(t, "hello\n", closed)
	c = dial(t, p)
	c.mustGet(t, "hello\n", "hello\n")

	p.refusing.Store(true)
	c.mustGet(t, "hello\n", "hello\n")
	dial(t, p).mustGet(t, "hello\n", closed)
	p.refusing.Store(false)
	dial(t, p).mustGet(t, "hello\n", "hello\n")

	p.hold(true)
	c.mustGet(t, "hello\n", silence)
	p.hold(false)
	c.mustGet(t, "", "hello\n")

	p.answerBy(func(request []byte) []byte {
		if string(request) == "refused\n" {
			return []byte("no\n")
		}
		return nil
	})
	c.mustGet(t, "before\nrefused\n", "before\n", "no\n")
	dial(t, p).mustGet(t, "before\nrefused\n", "before\n", "no\n")
	p.answerBy(serverAnswers)
	c.mustGet(t, "refused\n", "refused\n")

	p.slow.Store(true)
	began := time.Now()
	c.mustGet(t, "hello\n", "hello\n")
	if took := time.Since(began); took < 2*linkDelay {
		t.Errorf("answered after %v, want %v in each direction", took, linkDelay)
	}
	began = time.Now()
	const many = 30
	c.mustGet(t, strings.Repeat("hello\n", many), slices.Repeat([]string{"hello\n"}, many)...)
	if took := time.Since(began); took > many*linkDelay {
		t.Errorf("%d lines at once took %v, want them delayed together", many, took)
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
			c.mustGet(t, "step\n", "step\n")
			set := p.set(s)
			c.mustGet(t, "hello\n", "hello\n")
			c.mustGet(t, "before\nstep\nafter\n", "before\n")
			select {
			case held := <-set.sprung:
				c.mustGet(t, "", silence)
				dial(t, p).mustGet(t, "step\n", "step\n")
				held.end()
				c.mustGet(t, "", closed)
			case <-time.After(patience):
				t.Error("the trap did not spring")
			}
			if len(never.sprung) > 0 {
				t.Error("a trap sprang at another step")
			}
		})
	}
}
