package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"example.com/orderflow/adapters/mongodb"
	"example.com/orderflow/adapters/rabbitmq"
	"example.com/orderflow/adapters/sqlite"
	"example.com/orderflow/adapters/webhookchannel"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/deadletters"
)

// CheckStore returns what a service would find at the store.
func (c *Common) CheckStore(ctx context.Context) []ports.Finding {
	scheme, err := scheme(c.Store, "mongodb://localhost:27017/orders")
	switch {
	case err != nil:
	case scheme == "mongodb" || scheme == "mongodb+srv":
		return mongodb.Check(ctx, c.Store, mongodb.Options{KeepIndexes: !c.AutoIndex})
	case scheme == "sqlite":
		return c.checkFile(ctx, c.Store)
	case scheme == "memory":
		return []ports.Finding{inMemory}
	default:
		err = fmt.Errorf("no store has the scheme %q", scheme)
	}
	return wrongURL(err, "give a URL that begins with mongodb:, mongodb+srv:, sqlite: or memory:")
}

var inMemory = ports.Finding{What: "memory", Value: "lost when the process ends"}

// checkFile checks the file at the URL. The first start makes the data folder.
func (c *Common) checkFile(ctx context.Context, url string) []ports.Finding {
	if path, err := sqlite.Path(url); err == nil && url == c.data {
		if _, err := os.Stat(filepath.Dir(path)); errors.Is(err, fs.ErrNotExist) {
			return []ports.Finding{{What: "folder", Value: filepath.Dir(path) + " does not exist yet; the first start makes it"}}
		}
	}
	return sqlite.Check(ctx, url)
}

// CheckBroker returns what a program would find at the broker, which it uses as the options
// say.
func (c *Common) CheckBroker(ctx context.Context, publishes bool, options BrokerOptions) []ports.Finding {
	scheme, err := scheme(c.Broker, "amqp://guest:guest@localhost:5672/")
	switch {
	case err != nil:
	case scheme == "amqp" || scheme == "amqps":
		var subscriptions []string
		if options.Channels != nil {
			for _, opened := range options.Channels.opened {
				subscriptions = append(subscriptions, deadletters.SubscriptionOf(opened.name))
			}
		}
		return rabbitmq.Check(ctx, c.Broker, rabbitmq.CheckOptions{Publishes: publishes, Subscriptions: subscriptions, ManagementURL: c.BrokerManagement})
	case scheme == "sqlite" && c.Broker == c.Store:
		return []ports.Finding{{What: "file", Value: "the store's"}}
	case scheme == "sqlite":
		return c.checkFile(ctx, c.Broker)
	case scheme == "memory" && options.InProcess:
		return []ports.Finding{inMemory}
	case scheme == "memory":
		err = errors.New("a broker in memory carries events within one process")
	default:
		err = fmt.Errorf("no broker has the scheme %q", scheme)
	}
	return wrongURL(err, "give a URL that begins with amqp:, amqps: or sqlite:")
}

func wrongURL(err error, wayOut string) []ports.Finding {
	return []ports.Finding{{What: "URL", Fault: err.Error(), WayOut: wayOut}}
}

// CheckChannels returns what the settings of the channels have wrong, and the channels if
// nothing is wrong.
func (n *Notifying) CheckChannels(logTo ports.Channel) (*Channels, []ports.Finding) {
	channels, err := n.OpenChannels(logTo, slog.New(slog.DiscardHandler))
	if err == nil {
		return channels, nil
	}
	var faults []ports.Finding
	for line := range strings.SplitSeq(err.Error(), "\n") {
		what, fault, _ := strings.Cut(line, ": ")
		fault, wayOut, found := strings.Cut(fault, "; ")
		if !found {
			wayOut = "correct the setting"
		}
		faults = append(faults, ports.Finding{What: what, Fault: fault, WayOut: wayOut})
	}
	return nil, faults
}

// ChannelFindings are what a check has found about a channel.
type ChannelFindings struct {
	Channel string
	Found   []ports.Finding
}

// Check connects to the receivers of each channel, as far as that has no effect on them.
func (c *Channels) Check(ctx context.Context) (all []ChannelFindings) {
	for _, opened := range c.opened {
		found := []ports.Finding{{What: "settings", Value: strings.Join(append([]string{opened.kind}, opened.recipients()...), ", ")}}
		if checker, ok := opened.channel.(interface {
			Check(context.Context) []ports.Finding
		}); ok {
			found = append(found, checker.Check(ctx)...)
		}
		for _, endpoint := range opened.endpoints {
			if webhooks, ok := opened.channel.(*webhookchannel.Channel); ok {
				for _, f := range webhooks.Check(ctx, endpoint.Address) {
					f.What += " " + endpoint.Name
					found = append(found, f)
				}
			}
		}
		all = append(all, ChannelFindings{opened.name, found})
	}
	return all
}

// ErrNotWell is returned when a check has found faults.
var ErrNotWell = errors.New("not all is well")
