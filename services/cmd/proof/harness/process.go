// Package harness holds what chaos and bench share: executables as processes,
// the real servers, requests to the services, and percentiles.
package harness

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Build builds the services' executables into folder, with flags of go build.
func Build(ctx context.Context, folder string, flags ...string) error {
	return build(ctx, "", folder, append(flags, "./services/cmd/order", "./services/cmd/notification", "./services/cmd/"+Orderflow)...)
}

// BuildVictim builds the executable that kills itself.
func BuildVictim(ctx context.Context, folder string) error {
	return build(ctx, "services/cmd/proof", folder, "./chaos/victim")
}

// build runs go build in the module whose folder is below the product's.
func build(ctx context.Context, module, folder string, args ...string) error {
	root, err := Root(ctx)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-o", folder + "/"}, args...)...)
	cmd.Dir = filepath.Join(root, module)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the executables: %w\n%s", err, out)
	}
	return nil
}

// Root returns the folder of the product's module.
func Root(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "example.com/orderflow").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// Command is an executable with its arguments. It has two addresses of its own,
// for users and for operators.
type Command struct {
	Name, Path  string
	Addr, Admin string

	Notification string // of both services in one process: the notification service's address
	Args         []string
	Env          []string // nothing else in the environment can set it
}

// ServerEnv returns the variables that name the servers: the list of processes shows no
// passwords then.
func ServerEnv(store, broker *url.URL) []string {
	return []string{"STORE_URL=" + store.String(), "BROKER_URL=" + broker.String()}
}

// NewCommand returns the command with free addresses.
func NewCommand(name, path string, args ...string) (c Command, err error) {
	c = Command{Name: name, Path: path}
	if c.Addr, err = freeAddress(); err != nil {
		return c, err
	}
	if c.Admin, err = freeAddress(); err != nil {
		return c, err
	}
	c.Args = append(args, "--addr="+c.Addr, "--admin-addr="+c.Admin)
	return c, nil
}

// Orderflow is the name of the executable that runs both services in one process.
const Orderflow = "orderflow"

// NewOrderflow returns the command of both services in one process, with free
// addresses. It keeps its data in a file of the folder, and logs as the services do.
func NewOrderflow(path, data string, args ...string) (c Command, err error) {
	return NewBoth(Orderflow, path, append(args, "--data="+data, "--log-format=json")...)
}

// NewBoth returns the command of an executable with the flags of Orderflow, with free
// addresses.
func NewBoth(name, path string, args ...string) (c Command, err error) {
	if c, err = NewCommand(name, path); err != nil {
		return c, err
	}
	if c.Notification, err = freeAddress(); err != nil {
		return c, err
	}
	c.Args = append(args, "--order-addr="+c.Addr, "--notification-addr="+c.Notification, "--admin-addr="+c.Admin)
	return c, nil
}

// freeAddress returns an address of this machine at which nobody listens. Its port
// is below those of outgoing connections, so it stays free while its process is dead.
func freeAddress() (string, error) {
	var err error
	for range 100 {
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(10_000))); err == nil {
			return l.Addr().String(), l.Close()
		}
	}
	return "", fmt.Errorf("find a free address: %w", err)
}

// StopTimeout bounds a process's end after SIGTERM: the services' own timeout of
// 10 s and a margin.
const StopTimeout = 12 * time.Second

// Process is a running command. It writes straight to a file, which disturbs a
// measurement the least.
type Process struct {
	Command
	Log   string // file
	Began time.Time
	Done  <-chan struct{} // closed when the process has ended
	cmd   *exec.Cmd
}

// Start starts the command.
func (c Command) Start(log string) (*Process, error) {
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer file.Close() // the process has its own
	done := make(chan struct{})
	p := &Process{Command: c, Log: log, Began: time.Now(), Done: done, cmd: exec.Command(c.Path, c.Args...)}
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, c.Env...)
	p.cmd.Stdout, p.cmd.Stderr = file, file
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	go func() {
		defer close(done)
		_ = p.cmd.Wait() // State has the status
	}()
	return p, nil
}

// State describes how the process ended, once Done is closed.
func (p *Process) State() *os.ProcessState { return p.cmd.ProcessState }

// AwaitReady asks at the interval, and returns once the process is ready, or why it is
// not.
func (p *Process) AwaitReady(ctx context.Context, interval time.Duration) error {
	for !Ready(ctx, p.Addr) || p.Notification != "" && !Ready(ctx, p.Notification) {
		select {
		case <-p.Done:
			return fmt.Errorf("%s ended: %v: %s", p.Name, p.State(), p.tail())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w: %s", p.Name, ctx.Err(), p.tail())
		case <-time.After(interval):
		}
	}
	return nil
}

// End sends the signal and waits for the process's end, which it enforces after
// StopTimeout. A status other than 0 after SIGTERM is an error.
func (p *Process) End(signal syscall.Signal) error {
	_ = p.cmd.Process.Signal(signal) // it may have ended
	select {
	case <-p.Done:
	case <-time.After(StopTimeout):
		p.Kill()
		return fmt.Errorf("%s still ran %v after %v: %s", p.Name, StopTimeout, signal, p.tail())
	}
	if signal == syscall.SIGTERM && !p.State().Success() {
		return fmt.Errorf("%s: %v after %v: %s", p.Name, p.State(), signal, p.tail())
	}
	return nil
}

// Kill kills the process and waits for its end.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.Done
}

// tail returns the end of what the process wrote.
func (p *Process) tail() string {
	written, err := os.ReadFile(p.Log)
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(written[max(0, len(written)-1000):]))
}

// Memory returns the process's resident memory in bytes, now and at its peak.
func (p *Process) Memory() (now, peak float64, err error) {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), "status"))
	if err != nil {
		return 0, 0, fmt.Errorf("measure the memory of %s: %w", p.Name, err)
	}
	for line := range strings.Lines(string(status)) {
		var kib float64
		if n, _ := fmt.Sscanf(line, "VmRSS: %f kB", &kib); n == 1 {
			now = kib * 1024
		} else if n, _ := fmt.Sscanf(line, "VmHWM: %f kB", &kib); n == 1 {
			peak = kib * 1024
		}
	}
	if now == 0 || peak == 0 {
		return 0, 0, fmt.Errorf("measure the memory of %s: the system does not report it", p.Name)
	}
	return now, peak, nil
}

// Profile asks the process for one of its profiles.
func (p *Process) Profile(ctx context.Context, which string) (io.ReadCloser, error) {
	return get(ctx, "http://"+p.Admin+"/debug/pprof/"+which)
}

// Signal sends a signal that does not end the process.
func (p *Process) Signal(signal syscall.Signal) error { return p.cmd.Process.Signal(signal) }
