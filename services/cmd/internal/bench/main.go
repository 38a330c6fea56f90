// Command bench measures the whole system on real servers, beside three other
// ways of taking orders and beside the ceiling of what the servers can do, and
// prints tables in Markdown.
//
// Whatever is compared is measured in turns, round by round, so that a machine
// that is slow for a while is slow for all. A run of ours that loses an order
// ends the program: speed that loses orders counts as zero.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

type settings struct {
	Run runCommand `cmd:"" default:"withargs" help:"Measure, and print the tables."`
	Way wayCommand `cmd:"" hidden:""`
}

type runCommand struct {
	Rounds  int     `default:"5" help:"How often everything is measured; the tables have the medians (default ${default})."`
	Seconds float64 `default:"5" help:"How long a measurement takes (default ${default})."`
	Only    []int   `placeholder:"N,…" help:"Only these tables, by their numbers; 1 and 2 are measured together."`
	Large   bool    `help:"Also with a million orders stored, and a million events waiting."`
	Quick   bool    `help:"One round of a second with a thousand orders: whether everything runs, not how fast."`
	Profile string  `type:"path" placeholder:"FOLDER" help:"Also write CPU profiles of ours to this folder, a file for each number of clients."`
	JSON    string  `type:"path" placeholder:"FILE" help:"Also write every figure to this file."`

	Store  string `env:"TEST_STORE_URL" required:"" help:"A store; the run has databases of its own in it, and drops them."`
	Broker string `env:"TEST_BROKER_URL" required:"" help:"A broker; the queues of its virtual host are DELETED."`
}

func main() {
	var s settings
	parsed := kong.Parse(&s, kong.Name("bench"), kong.Description("Measures the whole system on real servers."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal has its default effect: the end
	parsed.BindTo(ctx, (*context.Context)(nil))
	if err := parsed.Run(); err != nil {
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
	stocks   []int // how many orders are stored
	backlogs []int // how many events wait
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
