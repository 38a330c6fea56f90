package sqlite_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"go.uber.org/goleak"
)

// Environment variables of a child: this test binary as another process.
const (
	childVar = "SQLITE_TEST_CHILD" // a key of children
	urlVar   = "SQLITE_TEST_URL"
)

// children are what a child does. It prints lines for its parent.
var children = map[string]func(url string) error{}

func TestMain(m *testing.M) {
	if run := children[os.Getenv(childVar)]; run != nil {
		if err := run(os.Getenv(urlVar)); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// child is a running child.
type child struct {
	*exec.Cmd
	lines *bufio.Scanner
	stdin io.Closer // a child that waits ends when it is closed
}

func startChild(t testing.TB, name, url string) *child {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{Cmd: exec.Command(executable)}
	c.Env = append(os.Environ(), childVar+"="+name, urlVar+"="+url)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.lines = bufio.NewScanner(out)
	if c.stdin, err = c.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if c.ProcessState == nil {
			_ = c.Process.Kill()
			_ = c.Wait()
		}
	})
	return c
}

// line returns the child's next line; "" when it has ended.
func (c *child) line() string {
	c.lines.Scan()
	return c.lines.Text()
}

func (c *child) expect(t testing.TB, want string) {
	t.Helper()
	if got := c.line(); got != want {
		t.Fatalf("the child printed %q, want %q", got, want)
	}
}

func (c *child) kill(t testing.TB) {
	t.Helper()
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
}
