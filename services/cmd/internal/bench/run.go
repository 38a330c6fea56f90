package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// experiment is a table with what has to be measured for it.
type experiment struct {
	what    string
	numbers []int                       // of its tables
	prepare func(context.Context) error // once; may be nil
	round   func(context.Context) error // each round
	tables  func() []*table
}

// Run measures and prints.
func (c *runCommand) Run(ctx context.Context) (err error) {
	sizes, err := c.sizes()
	if err != nil {
		return err
	}
	b := &bench{sizes: sizes, profiles: c.Profile, figures: make(figures), remarks: []string{}, progress: os.Stderr}
	if b.servers, err = openServers(c.Store, c.Broker); err != nil {
		return err
	}
	atLast := func(do func(context.Context) error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
		defer cancel()
		err = errors.Join(err, do(ctx))
	}
	defer atLast(b.servers.close)
	store, broker, err := b.servers.versions(ctx)
	if err != nil {
		return err
	}
	if err := b.servers.clean(ctx); err != nil {
		return err
	}
	defer atLast(b.servers.clean)
	if b.folder, err = os.MkdirTemp("", "bench"); err != nil {
		return err
	}
	defer os.RemoveAll(b.folder)
	if err := b.build(ctx); err != nil {
		return err
	}

	machine := describeMachine(store, broker)
	fmt.Printf("# Benchmark\n\n")
	machine.print(os.Stdout)
	fmt.Printf("Rounds: %d, %v a measurement. The figures are medians; so are the ratios, of each round's own.\n\n", b.rounds, b.duration)
	for _, e := range b.experiments() {
		wanted := func(number int) bool { return slices.Contains(c.Only, number) }
		if len(c.Only) > 0 && !slices.ContainsFunc(e.numbers, wanted) {
			continue
		}
		if err := b.perform(ctx, e); err != nil {
			return err
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

// experiments are all there are.
func (b *bench) experiments() []experiment {
	return []experiment{b.rates(), b.latency(), b.sweep(), b.cost(), b.services()}
}

func (b *bench) perform(ctx context.Context, e experiment) error {
	if e.prepare != nil {
		fmt.Fprintf(b.progress, "bench: %s: prepare\n", e.what)
		if err := e.prepare(ctx); err != nil {
			return fmt.Errorf("%s: %w", e.what, err)
		}
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
	return nil
}

// build builds the executables as users have them.
func (b *bench) build(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", b.folder+"/",
		"example.com/orderflow/services/cmd/order", "example.com/orderflow/services/cmd/notification")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the executables: %w\n%s", err, out)
	}
	return nil
}

// number is null in JSON where it is none.
type number float64

func (n number) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(n)) || math.IsInf(float64(n), 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

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
