// Command victim is both services in one process, wired as in orderflow. It kills
// itself at the place that --kill names, so that the process dies exactly there.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/cmd/proof/harness"
)

type settings struct {
	Store            string `env:"STORE_URL" required:"" help:"The file, as sqlite:PATH."`
	OrderAddr        string `required:"" help:"Address of the order service."`
	NotificationAddr string `required:"" help:"Address of the notification service."`
	AdminAddr        string `required:"" help:"Address for operators."`

	SMTP          string `env:"SMTP_URL" required:"" help:"The mail server."`
	Webhook       string `env:"WEBHOOK_URL" required:"" help:"The operator's endpoint."`
	WebhookSecret string `env:"WEBHOOK_SECRET" required:"" help:"Signs webhooks."`

	Kill   string   `help:"Where to die, as METHOD:PLACE:NUMBER; empty: nowhere."`
	Poison []string `help:"Bodies of messages that no consumer can read, to put into the main queue."`
}

func main() {
	s := new(settings)
	kong.Parse(s, kong.Name("victim"))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := s.run(ctx, slog.New(slog.NewJSONHandler(os.Stdout, nil))); err != nil {
		fmt.Fprintf(os.Stderr, "victim: %v\n", err)
		os.Exit(1)
	}
}

// putPoison puts the bodies into the main queue.
func putPoison(ctx context.Context, queue ports.DeadLetterQueue, bodies []string, log *slog.Logger) error {
	for _, body := range bodies {
		letter := ports.DeadLetter{ID: body, Message: ports.Message{ID: body, ContentType: "text/plain", Body: []byte(body), Timestamp: time.Now()}}
		if err := queue.Replay(ctx, letter); err != nil {
			return err
		}
		log.Info(harness.PoisonKept, "body", body)
	}
	return nil
}
