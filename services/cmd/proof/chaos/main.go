// Command chaos proves the services' promises on real servers, or on a file. It runs
// the executables as processes, places orders, kills, cuts and restarts everything,
// and then accounts for every order, notification and dead letter.
//
// A seed draws the faults and their times, so a failed run can be repeated. The
// machine decides what happens in between.
package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

type settings struct {
	Duration time.Duration `default:"10m" help:"How long faults happen; one round of all faults takes a minute (default ${default})."`
	Seed     uint64        `help:"Seed of the faults and the load; random by default."`
	Rate     int           `default:"150" help:"Orders a second, 0 for as many as possible (default ${default})."`
	Scenario string        `enum:"faults,broker-outage,receivers,embedded" default:"faults" help:"All faults; one stop of the broker for 30 s; each receiver absent for a minute, and then a notifier killed, which takes 5 minutes; or kills of the processes that keep their data in a file, without servers: ${enum}."`

	Store  string `env:"TEST_STORE_URL" help:"A store; the run uses a database of its own. Required unless the scenario is embedded."`
	Broker string `env:"TEST_BROKER_URL" help:"A broker; the run DELETES the services' queues in its virtual host first. Required unless the scenario is embedded."`
}

const shortest = 2 * quietTime

func main() {
	var s settings
	parser := kong.Parse(&s, kong.Name("chaos"), kong.Description("Proves the services' promises by killing, cutting and restarting everything."))
	if s.Duration < shortest {
		parser.Fatalf("--duration: %v is too short; give %v or more", s.Duration, shortest)
	}
	if s.Scenario != scenarioEmbedded && (s.Store == "" || s.Broker == "") {
		parser.Fatalf("--store and --broker are required; only --scenario embedded needs no servers")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	if s.Seed == 0 {
		s.Seed = rand.Uint64N(1_000_000)
	}
	held, err := s.run(ctx)
	stop() // only now: a second signal must not prevent the servers' restoration
	if err != nil {
		fmt.Fprintf(os.Stderr, "chaos: %v\n", err)
	}
	if err != nil || !held {
		os.Exit(1)
	}
}

// run plays the scenario.
func (s *settings) run(ctx context.Context) (held bool, err error) {
	if s.Scenario == scenarioEmbedded {
		return runEmbedded(ctx, s, os.Stdout)
	}
	return run(ctx, s)
}
