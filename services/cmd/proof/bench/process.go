package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"example.com/orderflow/services/cmd/proof/harness"
)

// process is a service of a way.
type process struct {
	*harness.Process
	ready time.Duration // from its start until it was ready
}

// complaints counts the warnings and errors in the log, and returns the first: a
// service that complains was disturbed while it was measured.
func (p *process) complaints() (count int, first string) {
	written, _ := os.ReadFile(p.Log) // await has read it too
	for line := range bytes.Lines(written) {
		if !bytes.Contains(line, []byte(`"level":"WARN"`)) && !bytes.Contains(line, []byte(`"level":"ERROR"`)) {
			continue
		}
		if count++; count == 1 {
			first = string(bytes.TrimSpace(line))
		}
	}
	return count, first
}

// allocations count what a process has allocated since it began.
type allocations struct{ objects, bytes float64 }

// allocations returns what the runtime has counted exactly: its profile ends with it.
func (p *process) allocations(ctx context.Context) (a allocations, err error) {
	text, err := p.profile(ctx, "allocs?debug=1", 0)
	for start, count := range map[string]*float64{"# TotalAlloc = ": &a.bytes, "# Mallocs = ": &a.objects} {
		_, after, _ := strings.Cut(string(text), start)
		if _, failed := fmt.Sscan(after, count); failed != nil {
			err = errors.Join(err, fmt.Errorf("measure the allocations of %s: no %q in its profile: %w", p.Name, start, failed))
		}
	}
	return a, err
}

// profileCPU writes a CPU profile of that length to the file.
func (p *process) profileCPU(ctx context.Context, seconds int, path string) error {
	profile, err := p.profile(ctx, fmt.Sprintf("profile?seconds=%d", seconds), seconds)
	if err != nil {
		return err
	}
	return os.WriteFile(path, profile, 0o644)
}

// profile returns a profile, which the process makes for some seconds.
func (p *process) profile(ctx context.Context, which string, seconds int) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds+10)*time.Second)
	defer cancel()
	profile, err := p.Profile(ctx, which)
	if err != nil {
		return nil, err
	}
	defer profile.Close()
	return io.ReadAll(profile)
}
