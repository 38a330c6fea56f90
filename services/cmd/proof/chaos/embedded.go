package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"example.com/orderflow/services/cmd/proof/harness"
)

// The scenario of the embedded default: one file instead of the servers.
const (
	scenarioEmbedded = "embedded"

	manyClients       = 64
	fileDrainTimeout  = time.Minute
	fileAnswerTimeout = 30 * time.Second
)

// fileWindow is that of processes on one file. A claim ends with its owner, so a restarted
// notifier repeats at once what the killed one had sent and not yet recorded.
var fileWindow = killWindow{recording: 3 * time.Second}

// The executables of the scenario, which are both services in one process.
const (
	programBoth   = harness.Orderflow
	programVictim = "victim"
)

// part is a run of the scenario on a file of its own.
type part struct {
	title    string
	programs []string
	share    float64 // of the duration
	disturb  func(t *fileTrial, ctx context.Context, d time.Duration) error
}

var parts = []part{
	{"one process, killed at random", []string{programBoth}, 0.3, (*fileTrial).disturbAtRandom},
	{"one process, killed at each boundary", []string{programVictim}, 0.4, (*fileTrial).killAtPlaces},
	{"the services as two processes on one file, killed at random", []string{programOrder, programNotification}, 0.15, (*fileTrial).disturbAtRandom},
	{"both services twice on one file, killed at random", []string{programBoth, programBoth}, 0.15, (*fileTrial).disturbAtRandom},
}

// runEmbedded runs the parts and reports whether every promise held. Unless it did, the
// files are kept.
func runEmbedded(ctx context.Context, s *settings, out io.Writer) (held bool, err error) {
	folder, err := os.MkdirTemp("", "chaos")
	if err != nil {
		return false, err
	}
	fmt.Fprintf(out, "chaos: seed %d, %v\n", s.Seed, s.Duration)
	held = true
	var broken bytes.Buffer
	err = errors.Join(harness.Build(ctx, folder), harness.BuildVictim(ctx, folder))
	for n := 0; n < len(parts) && err == nil; n++ {
		var partHeld bool
		partHeld, err = parts[n].run(ctx, s, folder, fmt.Sprintf("part-%d", n+1), out, &broken)
		held = held && partHeld
	}
	if held && err == nil || ctx.Err() != nil {
		return held && err == nil, errors.Join(err, os.RemoveAll(folder))
	}
	fmt.Fprintf(out, "\nkept: the logs and files in %s\nagain: --scenario %s --seed %d --duration %v --rate %d\n",
		folder, s.Scenario, s.Seed, s.Duration, s.Rate)
	_, _ = broken.WriteTo(out)
	return false, err
}

// run plays the part, prints its report, and reports whether every promise held. Those
// that did not, it also writes to broken.
func (p part) run(ctx context.Context, s *settings, executables, name string, out, broken io.Writer) (held bool, err error) {
	t, err := newFileTrial(s, executables, name)
	if err != nil {
		return false, err
	}
	defer t.timeline.Close()
	err = t.playPart(ctx, p)
	t.close()
	if err != nil {
		t.writeBroken(broken)
		return false, fmt.Errorf("%s: %w", p.title, err)
	}
	fmt.Fprintf(out, "\n%s\n", strings.ToUpper(p.title))
	held = t.reportFile(out)
	t.writeBroken(broken)
	return held, nil
}

// fileTrial is a trial on a file.
type fileTrial struct {
	*trial
	timeline    *os.File
	executables string // folder
	data        string // the file
	lives       []life // of the victim

	pausedReceivers int
}

func newFileTrial(s *settings, executables, name string) (*fileTrial, error) {
	folder := filepath.Join(executables, name)
	if err := os.Mkdir(folder, 0o700); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(folder, "timeline.log"))
	if err != nil {
		return nil, err
	}
	j := &journal{log: log}
	return &fileTrial{
		trial: &trial{settings: s, journal: j, folder: folder, made: make(map[string]int),
			account: account{journal: j, killWindow: fileWindow, strict: true, recorded: make(map[string]time.Time), pickySent: make(map[string][]time.Time)},
		},
		timeline: log, executables: executables, data: filepath.Join(folder, "orderflow.db"),
	}, nil
}

// envOf returns the program's environment.
func (t *fileTrial) envOf(program string) []string {
	if program == programBoth {
		return t.notifierEnv()
	}
	file := &url.URL{Scheme: "sqlite", Opaque: t.data}
	return append(harness.ServerEnv(file, file), t.notifierEnv()...)
}

// playPart plays the part and accounts for it.
func (t *fileTrial) playPart(ctx context.Context, p part) error {
	return inTurn(ctx,
		func(context.Context) error { return t.startReceivers() },
		func(context.Context) error { return t.startPrograms(p.programs) },
		t.killAtBirth,
		func(ctx context.Context) error { return t.awaitAll(ctx, time.Minute) },
		t.putContacts,
		func(ctx context.Context) error { return t.sufferPart(ctx, p) },
		t.drainFile,
		t.collectFile)
}

// startPrograms starts a process of each program.
func (t *fileTrial) startPrograms(programs []string) error {
	for n, program := range programs {
		make := harness.NewCommand
		if program == programBoth || program == programVictim {
			make = harness.NewBoth
		}
		p := &process{logs: t.folder, journal: t.journal}
		var err error
		if p.Command, err = make(fmt.Sprint(program, "-", 1+n), filepath.Join(t.executables, program), t.flagsOf(program)...); err != nil {
			return err
		}
		p.Env = t.envOf(program)
		t.processes = append(t.processes, p)
		if program != programOrder {
			t.account.notifiers = append(t.account.notifiers, p.Name)
		}
		if err := p.revive(); err != nil {
			return err
		}
	}
	return nil
}

// flagsOf returns the program's flags. The file is where orderflow keeps it by default.
func (t *fileTrial) flagsOf(program string) (flags []string) {
	if program == programVictim {
		return nil
	}
	if program == programBoth {
		flags = append(flags, "--data="+t.folder)
	}
	return append(flags, "--log-format=json", "--request-timeout="+requestTimeout.String(), "--shutdown-timeout=10s", "--shutdown-delay=0s")
}

// awaitAll waits until all services are ready.
func (t *fileTrial) awaitAll(ctx context.Context, timeout time.Duration) error {
	if err := awaitReady(ctx, timeout, t.processes...); err != nil {
		return err
	}
	addr := t.notifications()
	if !await(ctx, timeout, func() bool { return harness.Ready(ctx, addr) }) {
		return fmt.Errorf("the notification service at %s is not ready after %v", addr, timeout)
	}
	return nil
}

// takesOrders returns a process that takes orders, and notifies one that notifies.
func (t *fileTrial) takesOrders() *process { return t.processes[0] }
func (t *fileTrial) notifies() *process    { return t.processes[len(t.processes)-1] }

// notifications returns the address of the notification service.
func (t *fileTrial) notifications() string {
	p := t.notifies()
	return cmp.Or(p.Notification, p.Addr)
}

// putContacts stores the users' contacts.
func (t *fileTrial) putContacts(ctx context.Context) error {
	for _, c := range contacts(usualUsers, t.receivers[harness.Webhook].link.addr()) {
		body := map[string]any{"off": append([]string{}, c.Off...), "addresses": map[string]string{}}
		if c.Language != "" {
			body["language"] = c.Language
		}
		for channel, address := range map[string]string{harness.Email: c.Email, harness.Webhook: c.Webhook} {
			if address != "" {
				body["addresses"].(map[string]string)[channel] = address
			}
		}
		if err := harness.SendJSON(ctx, http.MethodPut, "http://"+t.notifies().Admin+"/contacts/"+url.PathEscape(c.UserID), body); err != nil {
			return fmt.Errorf("put a contact: %w", err)
		}
	}
	t.account.since = time.Now()
	return nil
}

// sufferPart runs the load and disturbs the processes. Then it starts those that are dead.
func (t *fileTrial) sufferPart(ctx context.Context, p part) error {
	t.load = &load{seed: t.Seed, clients: manyClients, users: usualUsers, rate: t.Rate, processes: t.processes, journal: t.journal}
	if p.programs[0] == programOrder {
		t.load.processes = t.processes[:1]
	}
	loading, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { t.load.run(loading, fileAnswerTimeout) })
	defer wg.Wait()
	defer stop()
	err := p.disturb(t, ctx, time.Duration(p.share*float64(t.Duration)))
	return errors.Join(err, inTurn(ctx, t.revive, func(ctx context.Context) error { return t.awaitAll(ctx, fileAnswerTimeout) }))
}
