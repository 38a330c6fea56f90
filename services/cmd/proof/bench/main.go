// Command bench measures the whole system on real servers. It compares it with three
// other ways of taking orders, and with the ceiling of what the servers can do, and
// prints tables in Markdown.
//
// Whatever is compared is measured in turns, round by round, so a slow machine is
// slow for all. A run of ours that loses an order ends the program: speed that loses
// orders counts as zero.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"example.com/orderflow/services/cmd/proof/harness"
)

// bench is one run of the program.
type bench struct {
	Rounds  int     `default:"5" help:"Number of rounds; the tables show medians (default ${default})."`
	Seconds float64 `default:"5" help:"Length of a measurement (default ${default})."`
	Only    []int   `placeholder:"N,…" help:"Only these tables, by number; 1 and 2 are measured together."`
	Large   bool    `help:"Also with a million stored orders, and a million waiting events."`
	Quick   bool    `help:"One round of a second with a thousand orders: shows that everything runs, not how fast."`
	Profile string  `type:"path" placeholder:"FOLDER" help:"Also write CPU profiles of ours to this folder, a file for each number of clients."`
	Against string  `type:"existingdir" placeholder:"FOLDER" help:"Also compare with the executables order and notification in this folder, in table 7."`
	JSON    string  `type:"path" placeholder:"FILE" help:"Also write every figure to this file."`

	Store  string `env:"TEST_STORE_URL" required:"" help:"A store; the run makes databases of its own and drops them."`
	Broker string `env:"TEST_BROKER_URL" required:"" help:"A broker; the run DELETES the services' queues in its virtual host."`

	duration time.Duration // of a measurement
	sizes    []int         // numbers of stored orders, and of waiting events

	servers *harness.Servers
	folder  string // of the executables, the logs and the embedded way's files

	filledFiles []filledFile

	figures   figures
	remarks   []string // disturbances of the run
	progress  io.Writer
	leftovers error // of what the run has made and could not remove
}

func main() {
	var commands struct {
		Run bench      `cmd:"" default:"withargs" help:"Measure, and print the tables."`
		Way wayCommand `cmd:"" hidden:""`
	}
	parsed := kong.Parse(&commands, kong.Name("bench"), kong.Description("Measures the whole system on real servers."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program
	b := &commands.Run
	b.figures, b.remarks, b.progress = make(figures), []string{}, os.Stderr
	do := b.run
	if strings.HasPrefix(parsed.Command(), "way") {
		do = commands.Way.run
	}
	if err := errors.Join(attempt(func() { do(ctx) }), b.leftovers); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("interrupted: %w", err)
		}
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// clients are the numbers of clients that place orders at the same time.
var clients = []int{1, 16, 64, 256}

// experiment measures, once in each round, what its tables show.
type experiment struct {
	what    string
	numbers []int // of its tables
	round   func(context.Context)
	tables  func() []*table
}

// run measures and prints.
func (b *bench) run(ctx context.Context) {
	experiments := []experiment{
		{"orders a second", []int{1, 2}, b.measureRates, b.rateTables},
		{"order to notification", []int{3}, b.measureLatencies, b.latencyTables},
		{"sweep", []int{4}, b.measureSweeps, b.sweepTables},
		{"cost", []int{5}, b.measureCosts, b.costTables},
		{"several services", []int{6}, b.measureServices, b.serviceTables},
		{"another build", []int{7}, b.measureAgainst, b.againstTables},
		{"all channels", []int{8}, b.measureChannels, b.channelTables},
		{"embedded", []int{9}, b.measureEmbedded, b.embeddedTables},
	}
	check(b.configure())
	b.servers = must(harness.OpenServers(b.Store, b.Broker))
	defer b.remove(ctx, b.servers.Close)
	machine := must(describeMachine(ctx, b.servers))
	queues := append(slices.Clone(harness.Queues), originalQueue, usualQueue, ceilingQueue)
	// In the default virtual host, earlier messages may belong to somebody else.
	check(b.servers.Clean(ctx, b.servers.VHost() == "/", queues...))
	defer b.remove(ctx, func(ctx context.Context) error { return b.servers.Clean(ctx, false, queues...) })
	b.folder = must(os.MkdirTemp("", "bench"))
	defer os.RemoveAll(b.folder)
	if inMemory(b.folder) {
		b.remark("%s is in memory, so the embedded way syncs no disk; set TMPDIR to a folder on a disk", b.folder)
	}
	check(harness.Build(ctx, b.folder, "-trimpath"))

	fmt.Printf("# Benchmark\n\n%s. Servers, services and load share the machine.\n\n", machine)
	fmt.Printf("Rounds: %d, %v a measurement. Figures are medians of all rounds; ratios are medians of each round's ratio.\n\n", b.Rounds, b.duration)
	for _, e := range experiments {
		wanted := func(number int) bool { return slices.Contains(b.Only, number) }
		if len(b.Only) > 0 && !slices.ContainsFunc(e.numbers, wanted) || slices.Contains(e.numbers, 7) && b.Against == "" {
			continue
		}
		for n := range b.Rounds {
			b.report("%s: round %d of %d", e.what, n+1, b.Rounds)
			e.round(ctx)
		}
		for _, t := range e.tables() {
			t.print(os.Stdout)
		}
	}
	if len(b.remarks) > 0 {
		fmt.Printf("## Remarks\n\n- %s\n", strings.Join(b.remarks, "\n- "))
	}
	if b.JSON != "" {
		check(b.write(b.JSON, machine))
	}
}

// configure checks the flags, and sets how much is measured.
func (b *bench) configure() error {
	if b.Rounds < 1 || b.Seconds < 0.1 {
		return errors.New("--rounds and --seconds: give at least 1 and 0.1")
	}
	for _, number := range b.Only {
		switch {
		case number < 1 || number > 9:
			return fmt.Errorf("--only: there is no table %d; give some of 1 to 9", number)
		case number == 7 && b.Against == "":
			return errors.New("--only: table 7 needs --against")
		}
	}
	b.duration = time.Duration(b.Seconds * float64(time.Second))
	b.sizes = []int{10_000, 100_000}
	switch {
	case b.Quick:
		b.Rounds, b.duration, b.sizes = 1, time.Second, []int{1000}
	case b.Large:
		b.sizes = append(b.sizes, 1_000_000)
	}
	return nil
}

// report prints how far the run has come.
func (b *bench) report(format string, args ...any) {
	fmt.Fprintf(b.progress, "bench: "+format+"\n", args...)
}

// remark reports a disturbance at once, and below the tables.
func (b *bench) remark(format string, args ...any) {
	b.remarks = append(b.remarks, fmt.Sprintf(format, args...))
	b.report(format, args...)
}

// remove removes something that the run has made, even after an interruption.
func (b *bench) remove(ctx context.Context, do func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer cancel()
	b.leftovers = errors.Join(b.leftovers, do(ctx))
}

// write writes every figure to the file.
func (b *bench) write(path, machine string) error {
	all := make(map[string]any, len(b.figures))
	for name, samples := range b.figures {
		all[name] = map[string]any{"median": median(samples), "samples": samples}
	}
	data, err := json.MarshalIndent(map[string]any{"machine": machine, "figures": all, "remarks": b.remarks}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}
