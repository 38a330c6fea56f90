package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"example.com/orderflow/services/cmd/proof/harness"
)

// service is a process of a way.
type service struct {
	*harness.Process
	ready time.Duration // from its start until it was ready
}

// complaints counts the warnings and errors in the log, and returns the first: a
// service that complains was disturbed while it was measured.
func complaints(log string) (count int, first string, err error) {
	written, err := os.ReadFile(log)
	for line := range bytes.Lines(written) {
		if !bytes.Contains(line, []byte(`"level":"WARN"`)) && !bytes.Contains(line, []byte(`"level":"ERROR"`)) {
			continue
		}
		if count++; count == 1 {
			first = string(bytes.TrimSpace(line))
		}
	}
	return count, first, err
}

// allocated returns the number of objects and bytes that the process has allocated
// since it began. The runtime counts them exactly, and its profile ends with them.
func (s *service) allocated(ctx context.Context) (objects, size float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	profile, err := s.Profile(ctx, "allocs?debug=1")
	if err != nil {
		return 0, 0, err
	}
	defer profile.Close()
	lines := bufio.NewScanner(profile)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if text, found := strings.CutPrefix(lines.Text(), "# Mallocs = "); found {
			objects, _ = strconv.ParseFloat(text, 64)
		} else if text, found := strings.CutPrefix(lines.Text(), "# TotalAlloc = "); found {
			size, _ = strconv.ParseFloat(text, 64)
		}
	}
	if err := lines.Err(); err != nil || objects == 0 || size == 0 {
		return 0, 0, fmt.Errorf("measure the allocations of %s: the profile does not report them: %w", s.Name, err)
	}
	return objects, size, nil
}

// profileCPU writes a CPU profile of that length to the file.
func (s *service) profileCPU(ctx context.Context, seconds int, path string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds+10)*time.Second)
	defer cancel()
	profile, err := s.Profile(ctx, fmt.Sprintf("profile?seconds=%d", seconds))
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
