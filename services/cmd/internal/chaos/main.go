// Command chaos proves the services' promises on real servers: it runs the
// executables as processes, places orders, kills, cuts and restarts everything,
// and then takes account of every order, notification and dead letter.
//
// The faults and their times are drawn from a seed, so a run that failed can be
// run again. What happens in between is up to the machine.
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
	Duration    time.Duration `default:"10m" help:"How long faults are made; a round of all takes a minute (default ${default})."`
	Seed        uint64        `help:"What faults and load are drawn from; drawn itself if not given."`
	Rate        int           `default:"150" help:"Orders a second, 0 for as many as there can be (default ${default})."`
	Scenario    string        `enum:"faults,broker-outage" default:"faults" help:"All faults, or only the broker stopped once, in the middle: ${enum}."`
	BrokerPause time.Duration `name:"brokerpause" default:"30s" help:"How long the scenario broker-outage stops the broker (default ${default})."`
	Sample      time.Duration `help:"Write the processes' size, and what waits where, to samples.tsv at this interval."`
	Plan        bool          `help:"Print the faults that would be made, and end."`
	Race        bool          `help:"Build the executables with the race detector."`
	Binaries    string        `type:"existingdir" help:"Take the executables from this folder instead of building them."`

	Store  string `env:"TEST_STORE_URL" required:"" help:"A store; the run has a database of its own in it."`
	Broker string `env:"TEST_BROKER_URL" required:"" help:"A broker; the queues of its virtual host are DELETED at the start."`
}

const shortest = 2 * quietTime

func main() {
	var s settings
	parser := kong.Parse(&s, kong.Name("chaos"), kong.Description("Proves the services' promises by killing, cutting and restarting everything."))
	if s.Duration < shortest {
		parser.Fatalf("--duration: %v is too short; give %v or more", s.Duration, shortest)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	if s.Seed == 0 {
		s.Seed = rand.Uint64N(1_000_000)
	}
	held, err := run(ctx, &s)
	stop() // not before: a second signal must not keep the servers from being restored
	if err != nil {
		fmt.Fprintf(os.Stderr, "chaos: %v\n", err)
	}
	if err != nil || !held {
		os.Exit(1)
	}
}
