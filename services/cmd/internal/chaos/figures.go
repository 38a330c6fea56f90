package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// How much more a process may have after all that than when it was fresh: a
// notifier connects for handing over only when it has to, and the driver keeps
// some connections once it needed them.
const (
	moreGoroutines  = 20
	moreConnections = 1 // to the broker

	// The driver keeps the connections that it has once needed: 100 at most,
	// and those by which it watches the server.
	mostStoreConnections = 104
)

// figures are what the run measures beside what it counts.
type figures struct {
	start, end map[string]size // by process
	drain      time.Duration
	outage     *outageFigures
	limit      *limitFigures
}

// size is how large a process is.
type size struct {
	rss               int // KiB; 0 where it can't be known
	goroutines        int
	storeConnections  int
	brokerConnections int
}

func (s size) String() string {
	return fmt.Sprintf("%.1f MiB, %d goroutines, %d+%d connections", float64(s.rss)/1024, s.goroutines, s.storeConnections, s.brokerConnections)
}

func (p *process) size(ctx context.Context) (size, error) {
	p.mu.Lock()
	pid := p.life.cmd.Process.Pid
	p.mu.Unlock()
	goroutines, err := goroutinesAt(ctx, p.admin)
	return size{
		rss: residentSet(pid), goroutines: goroutines,
		storeConnections:  p.links[serverStore].connections(),
		brokerConnections: p.links[serverBroker].connections(),
	}, err
}

// goroutinesAt reads the first line of the profile, "goroutine profile: total N".
func goroutinesAt(ctx context.Context, admin string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/debug/pprof/goroutine?debug=1", nil)
	if err != nil {
		return 0, err
	}
	response, err := oneConnection.Do(request)
	if err != nil {
		return 0, fmt.Errorf("count goroutines: %w", err)
	}
	defer response.Body.Close()
	line, err := bufio.NewReader(response.Body).ReadString('\n')
	if err != nil {
		return 0, fmt.Errorf("count goroutines: %w", err)
	}
	_, total, _ := strings.Cut(strings.TrimSpace(line), "total ")
	n, err := strconv.Atoi(total)
	if err != nil {
		return 0, fmt.Errorf("count goroutines: %q", line)
	}
	return n, nil
}

func residentSet(pid int) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmRSS:" {
			n, _ := strconv.Atoi(fields[1])
			return n
		}
	}
	return 0
}

// atStart measures the fresh processes.
func (f *figures) atStart(ctx context.Context, processes []*process) error {
	f.start = make(map[string]size)
	for _, p := range processes {
		s, err := p.size(ctx)
		if err != nil {
			return fmt.Errorf("measure %s: %w", p.name, err)
		}
		f.start[p.name] = s
	}
	return nil
}

// atEnd measures the processes at rest, which may take them a moment to be.
func (f *figures) atEnd(ctx context.Context, processes []*process, ledger *ledger) error {
	f.end = make(map[string]size)
	for _, p := range processes {
		before := f.start[p.name]
		for end := time.Now().Add(20 * time.Second); ; {
			s, err := p.size(ctx)
			if err != nil {
				return fmt.Errorf("measure %s: %w", p.name, err)
			}
			f.end[p.name] = s
			if s.goroutines <= before.goroutines+moreGoroutines && s.brokerConnections <= before.brokerConnections+moreConnections &&
				s.storeConnections <= mostStoreConnections {
				break
			}
			if time.Now().After(end) {
				ledger.breaks(nothingLeaks, "%s: %v, fresh %v", p.name, s, before)
				break
			}
			if !sleep(ctx, 200*time.Millisecond) {
				return ctx.Err()
			}
		}
	}
	return nil
}
