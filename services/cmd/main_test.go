// Package cmd_test runs the executables as processes.
package cmd_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"example.com/orderflow/services/internal/logtest"
)

var binaries string // the folder of the executables

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "orderflow")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		build := exec.Command("go", "build", "-race", "-o", dir, "./order", "./notification", "./orderflow")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build the executables: %v\n%s", err, out)
			return 1
		}
		binaries = dir
		return m.Run()
	}())
}

// patience bounds every wait for an expected event.
const patience = 60 * time.Second

// process is a running executable.
type process struct {
	name string
	cmd  *exec.Cmd
	out  logtest.Buffer
	done chan struct{} // closed when it has ended
}

func start(t *testing.T, name string, args ...string) *process {
	t.Helper()
	return prepare(name, args...).start(t)
}

// startBinary starts an executable from the folder.
func startBinary(t *testing.T, folder, name string, args ...string) *process {
	t.Helper()
	return prepareBinary(folder, name, args...).start(t)
}

// prepare returns a process that is not started yet. args override its other flags.
func prepare(name string, args ...string) *process {
	return prepareBinary(binaries, name, append([]string{"--admin-addr=localhost:0", "--shutdown-delay=0s"}, args...)...)
}

func prepareBinary(folder, name string, args ...string) *process {
	p := &process{name: name, done: make(chan struct{})}
	p.cmd = exec.Command(filepath.Join(folder, name), args...)
	p.cmd.Env = environment(name)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	return p
}

// start starts the process in a folder of its own, and kills it when the test ends.
func (p *process) start(t *testing.T) *process {
	t.Helper()
	p.cmd.Dir = t.TempDir()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // its status is read from ProcessState
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // fails if the process has ended
		<-p.done
		if t.Failed() {
			t.Logf("%s wrote:\n%s", p.name, tail(p.out.String()))
		}
	})
	return p
}

func tail(text string) string {
	const most = 4000
	if len(text) > most {
		return "…" + text[len(text)-most:]
	}
	return text
}

// environment returns the environment of an executable. It has orderflow keep its data in
// memory, unless a flag names something else.
func environment(name string) []string {
	env := clean(os.Environ())
	if name == "orderflow" {
		env = append(env, "STORE_URL=memory:", "BROKER_URL=memory:")
	}
	return env
}

// clean returns the environment without the executables' variables.
func clean(env []string) []string {
	var kept []string
	for _, entry := range env {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "OTEL_") {
			continue
		}
		switch name {
		case "ADDR", "ADMIN_ADDR", "MAX_IN_FLIGHT", "ORDER_ADDR", "NOTIFICATION_ADDR", "STORE_URL", "BROKER_URL", "LOG_LEVEL", "LOG_FORMAT", "BROKER_MANAGEMENT_URL", "PREFETCH",
			"SMTP_URL", "SMTP_PASSWORD_FILE", "WEBHOOK_URL", "WEBHOOK_SECRET", "WEBHOOK_SECRET_FILE", "WEBHOOK_ALLOW_PRIVATE", "CHANNELS_FILE", "TEMPLATES",
			"DEFAULT_LANGUAGE", "RATE", "RETENTION", "ALERTS", "DATA_DIR", "TO_STORE_URL", "START_TIMEOUT", "REQUEST_TIMEOUT", "IDLE_TIMEOUT", "SHUTDOWN_DELAY", "SHUTDOWN_TIMEOUT", "AUTO_INDEX",
			"ADMIN_TOKENS_FILE", "ADMIN_TRUST_HEADER", "ADMIN_TRUST_FROM", "ADMIN_TRUST_OPERATORS", "ORDERFLOW_TOKEN", "ORDERFLOW_TOKEN_FILE",
			"STORE_URL_FILE", "BROKER_URL_FILE", "BROKER_MANAGEMENT_URL_FILE", "SMTP_URL_FILE", "WEBHOOK_URL_FILE", "ALERTS_FILE", "TO_STORE_URL_FILE",
			"AUTH_JWKS", "AUTH_ISSUER", "AUTH_AUDIENCE", "TLS_CERT", "TLS_KEY":
		default:
			kept = append(kept, entry)
		}
	}
	return kept
}

// stop sends the signal and returns the exit status.
func (p *process) stop(t *testing.T, signal syscall.Signal) int {
	t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		t.Fatalf("signal %s: %v", p.name, err)
	}
	return p.wait(t)
}

// stopWell sends the signal and fails the test unless the exit status is 0.
func (p *process) stopWell(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if status := p.stop(t, signal); status != 0 {
		t.Errorf("%s: exit status %d after %v", p.name, status, signal)
	}
}

func (p *process) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		t.Fatalf("%s still runs", p.name)
	}
	return p.cmd.ProcessState.ExitCode()
}

// run runs an executable to its end, in a folder of its own.
func run(t *testing.T, env []string, name string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(binaries, name), args...)
	cmd.Env, cmd.Dir = append(environment(name), env...), t.TempDir()
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errOut.String()
}

// eventually calls check until it returns nil, and fails with its last error.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v: %v", patience, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// lastPort counts what freeAddress has tried, from a random number on.
var lastPort = rand.Uint32()

// freeAddress returns a local address that no process uses. Its port is below those that
// systems give to clients and to listeners without a port, so nobody gets it before the
// service starts, or while it restarts.
func freeAddress(t *testing.T) string {
	t.Helper()
	const lowest, count = 16_000, 16_000
	for range count {
		l, err := net.Listen("tcp", fmt.Sprint("localhost:", lowest+atomic.AddUint32(&lastPort, 1)%count))
		if err != nil {
			continue
		}
		l.Close()
		return l.Addr().String()
	}
	t.Fatal("no port is free")
	return ""
}

var client = &http.Client{Timeout: 30 * time.Second}

// fetch returns the status of the answer, and decodes its body unless into is nil.
func fetch(method, url, body string, into any) (status int, err error) {
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err == nil && into != nil {
		err = json.Unmarshal(data, into)
	}
	return response.StatusCode, err
}

func awaitReady(t *testing.T, address string) {
	t.Helper()
	eventually(t, func() error {
		status, err := fetch("GET", "http://"+address+"/readyz", "", nil)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("%s answers %d to /readyz", address, status)
		}
		return err
	})
}

// awaitLine waits until the process has written the text.
func awaitLine(t *testing.T, p *process, text string) {
	t.Helper()
	eventually(t, func() error {
		if !strings.Contains(p.out.String(), text) {
			return fmt.Errorf("%s has not written %q", p.name, text)
		}
		return nil
	})
}
