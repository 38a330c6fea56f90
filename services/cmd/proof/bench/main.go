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
	"math"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"example.com/orderflow/services/cmd/proof/harness"
)

type settings struct {
	Run runCommand `cmd:"" default:"withargs" help:"Measure, and print the tables."`
	Way wayCommand `cmd:"" hidden:""`
}

type runCommand struct {
	Rounds  int     `default:"5" help:"Number of rounds; the tables show medians (default ${default})."`
	Seconds float64 `default:"5" help:"Length of a measurement (default ${default})."`
	Only    []int   `placeholder:"N,…" help:"Only these tables, by number; 1 and 2 are measured together."`
	Large   bool    `help:"Also with a million stored orders, and a million waiting events."`
	Quick   bool    `help:"One round of a second with a thousand orders: shows that everything runs, not how fast."`
	Profile string  `type:"path" placeholder:"FOLDER" help:"Also write CPU profiles of ours to this folder, a file for each number of clients."`
	JSON    string  `type:"path" placeholder:"FILE" help:"Also write every figure to this file."`

	Store  string `env:"TEST_STORE_URL" required:"" help:"A store; the run makes databases of its own and drops them."`
	Broker string `env:"TEST_BROKER_URL" required:"" help:"A broker; the run DELETES the services' queues in its virtual host."`
}

func main() {
	var s settings
	parsed := kong.Parse(&s, kong.Name("bench"), kong.Description("Measures the whole system on real servers."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program
	do := s.Run.run
	if strings.HasPrefix(parsed.Command(), "way") {
		do = s.Way.run
	}
	if err := do(ctx); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("interrupted: %w", err)
		}
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// sizes are how much is measured.
type sizes struct {
	rounds   int
	duration time.Duration // of a measurement
	clients  []int
	stocks   []int // numbers of stored orders
	backlogs []int // numbers of waiting events
}

func (c *runCommand) sizes() (sizes, error) {
	if c.Rounds < 1 || c.Seconds < 0.1 {
		return sizes{}, errors.New("--rounds and --seconds: give at least 1 and 0.1")
	}
	for _, number := range c.Only {
		if number < 1 || number > 6 {
			return sizes{}, fmt.Errorf("--only: there is no table %d; give some of 1 to 6", number)
		}
	}
	s := sizes{
		rounds: c.Rounds, duration: time.Duration(c.Seconds * float64(time.Second)),
		clients: []int{1, 16, 64, 256},
		stocks:  []int{10_000, 100_000}, backlogs: []int{10_000, 100_000},
	}
	switch {
	case c.Quick:
		s.rounds, s.duration = 1, time.Second
		s.stocks, s.backlogs = []int{1000}, []int{1000}
	case c.Large:
		s.stocks, s.backlogs = append(s.stocks, 1_000_000), append(s.backlogs, 1_000_000)
	}
	return s, nil
}

// experiment measures what its tables show.
type experiment struct {
	what    string
	numbers []int                       // of its tables
	round   func(context.Context) error // each round
	tables  func() []*table
}

// run measures and prints.
func (c *runCommand) run(ctx context.Context) (err error) {
	sizes, err := c.sizes()
	if err != nil {
		return err
	}
	b := &bench{sizes: sizes, profiles: c.Profile, figures: make(figures), remarks: []string{}, progress: os.Stderr}
	if b.servers, err = openServers(c.Store, c.Broker); err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
		defer cancel()
		err = errors.Join(err, b.servers.close(ctx))
	}()
	machine, err := describeMachine(ctx, b.servers)
	if err != nil {
		return err
	}
	if err := b.servers.clean(ctx); err != nil {
		return err
	}
	if b.folder, err = os.MkdirTemp("", "bench"); err != nil {
		return err
	}
	defer os.RemoveAll(b.folder)
	if err := harness.Build(ctx, b.folder, "-trimpath"); err != nil {
		return err
	}

	fmt.Printf("# Benchmark\n\n")
	machine.print(os.Stdout)
	fmt.Printf("Rounds: %d, %v a measurement. Figures are medians of all rounds; ratios are medians of each round's ratio.\n\n", b.rounds, b.duration)
	for _, e := range []experiment{b.rates(), b.latency(), b.sweep(), b.cost(), b.services()} {
		wanted := func(number int) bool { return slices.Contains(c.Only, number) }
		if len(c.Only) > 0 && !slices.ContainsFunc(e.numbers, wanted) {
			continue
		}
		for n := range b.rounds {
			fmt.Fprintf(b.progress, "bench: %s: round %d of %d\n", e.what, n+1, b.rounds)
			if err := e.round(ctx); err != nil {
				return fmt.Errorf("%s: %w", e.what, err)
			}
		}
		for _, t := range e.tables() {
			t.print(os.Stdout)
		}
	}
	if len(b.remarks) > 0 {
		fmt.Printf("## Remarks\n\n- %s\n", strings.Join(b.remarks, "\n- "))
	}
	if c.JSON == "" {
		return nil
	}
	return b.write(c.JSON, machine)
}

// number is null in JSON if it is not finite.
type number float64

func (n number) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(n)) || math.IsInf(float64(n), 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

// write writes every figure to the file.
func (b *bench) write(path string, m machine) error {
	type summary struct {
		Median  number   `json:"median"`
		Samples []number `json:"samples"`
	}
	all := make(map[string]summary, len(b.figures))
	for name, samples := range b.figures {
		s := summary{Median: number(median(samples))}
		for _, sample := range samples {
			s.Samples = append(s.Samples, number(sample))
		}
		all[name] = s
	}
	data, err := json.MarshalIndent(map[string]any{"machine": m, "figures": all, "remarks": b.remarks}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}
