package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The bounds of a process's start and end.
const (
	startTimeout = time.Minute
	stopTimeout  = 15 * time.Second
)

// process is an executable at work. What it writes goes straight to a file,
// which costs the least while it is measured.
type process struct {
	name           string
	address, admin string
	log            string // the file
	cmd            *exec.Cmd
	began          time.Time
	done           chan struct{} // closed when it has ended
}

// start starts the executable with the arguments and an address of its own.
func start(folder, name, executable string, args ...string) (*process, error) {
	p := &process{name: name, done: make(chan struct{})}
	var err error
	if p.address, err = freeAddress(); err != nil {
		return nil, err
	}
	if p.admin, err = freeAddress(); err != nil {
		return nil, err
	}
	log, err := os.CreateTemp(folder, filepath.Base(name)+".*.log")
	if err != nil {
		return nil, err
	}
	defer log.Close() // the process has its own
	p.log = log.Name()
	p.cmd = exec.Command(executable, append(args, "--addr="+p.address, "--admin-addr="+p.admin)...)
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH")} // nothing that would set it
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.began = time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // its status is read from ProcessState
	}()
	return p, nil
}

// freeAddress returns an address of this machine that nobody listens at.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// awaitReady waits until the process is ready, and returns how long that took
// from its start.
func (p *process) awaitReady(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		c, err := dial(p.address, time.Now().Add(5*time.Second))
		if err == nil {
			status, _, err := c.do(get("/readyz"))
			c.Close()
			if err == nil && status == http.StatusOK {
				return time.Since(p.began), nil
			}
		}
		select {
		case <-p.done:
			return 0, fmt.Errorf("%s ended: %v: %s", p.name, p.cmd.ProcessState, p.tail())
		case <-ctx.Done():
			return 0, fmt.Errorf("%s is not ready: %w: %s", p.name, ctx.Err(), p.tail())
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// stop ends the process by SIGTERM; whatever goes wrong, it has ended then.
func (p *process) stop() error {
	err := p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		p.kill()
		return fmt.Errorf("%s still ran %v after SIGTERM: %s", p.name, stopTimeout, p.tail())
	}
	if err != nil || !p.cmd.ProcessState.Success() {
		return fmt.Errorf("%s: %v after SIGTERM: %s", p.name, p.cmd.ProcessState, p.tail())
	}
	return nil
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// tail is the end of what the process wrote.
func (p *process) tail() string {
	written, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(written[max(0, len(written)-1000):]))
}

// complaints returns how many lines of the log are warnings or errors, and the
// first of them: who complains was disturbed while it was measured.
func (p *process) complaints() (count int, first string, err error) {
	log, err := os.Open(p.log)
	if err != nil {
		return 0, "", err
	}
	defer log.Close()
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if !bytes.Contains(lines.Bytes(), []byte(`"level":"WARN"`)) && !bytes.Contains(lines.Bytes(), []byte(`"level":"ERROR"`)) {
			continue
		}
		if count++; count == 1 {
			first = lines.Text()
		}
	}
	return count, first, lines.Err()
}

// resident returns the process's resident memory in MB, now and at its peak.
func (p *process) resident() (now, peak float64, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, 0, fmt.Errorf("measure the memory of %s: %w", p.name, err)
	}
	for line := range strings.Lines(string(status)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		kib, _ := strconv.ParseFloat(fields[1], 64)
		switch fields[0] {
		case "VmRSS:":
			now = kib * 1024 / 1e6
		case "VmHWM:":
			peak = kib * 1024 / 1e6
		}
	}
	if now == 0 || peak == 0 {
		return 0, 0, fmt.Errorf("measure the memory of %s: the system does not tell it", p.name)
	}
	return now, peak, nil
}

// allocated returns how many objects and bytes the process has allocated since
// it began, which the runtime counts exactly and its profile ends with.
func (p *process) allocated(ctx context.Context) (objects, size float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	profile, err := p.profile(ctx, "allocs?debug=1")
	if err != nil {
		return 0, 0, err
	}
	defer profile.Close()
	lines := bufio.NewScanner(profile)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if text, found := strings.CutPrefix(lines.Text(), "# Mallocs = "); found {
			objects, err = strconv.ParseFloat(text, 64)
		} else if text, found := strings.CutPrefix(lines.Text(), "# TotalAlloc = "); found {
			size, err = strconv.ParseFloat(text, 64)
		}
		if err != nil {
			break
		}
	}
	if err := errors.Join(err, lines.Err()); err != nil || objects == 0 || size == 0 {
		return 0, 0, fmt.Errorf("measure the allocations of %s: the profile does not tell them: %w", p.name, err)
	}
	return objects, size, nil
}

// profile asks the process for one of its profiles.
func (p *process) profile(ctx context.Context, which string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.admin+"/debug/pprof/"+which, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err == nil && response.StatusCode != http.StatusOK {
		response.Body.Close()
		err = errors.New(response.Status)
	}
	if err != nil {
		return nil, fmt.Errorf("ask %s for its profile: %w", p.name, err)
	}
	return response.Body, nil
}

// profileCPU writes what the process does with the CPU for so many seconds to
// the file.
func (p *process) profileCPU(ctx context.Context, seconds int, path string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds+10)*time.Second)
	defer cancel()
	profile, err := p.profile(ctx, fmt.Sprintf("profile?seconds=%d", seconds))
	if err != nil {
		return err
	}
	defer profile.Close()
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, profile)
	return errors.Join(err, file.Close())
}
