package preflight

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"text/tabwriter"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/cmd/internal/app"
)

type output struct {
	JSON bool `name:"json" help:"Print JSON, one object per line."`
}

type checkOrder struct{ output }

// Run checks what the order service needs.
func (o checkOrder) Run(ctx context.Context, c *app.Common, s app.Streams) error {
	return o.report(s.Out, servers(ctx, c, true, app.BrokerOptions{}))
}

type checkNotifier struct{ output }

// Run checks what the notification service needs.
func (o checkNotifier) Run(ctx context.Context, c *app.Common, n *app.Notifying, s app.Streams) error {
	return o.report(s.Out, notifier(ctx, c, n, false))
}

type checkBoth struct{ output }

// Run checks what both services need.
func (o checkBoth) Run(ctx context.Context, c *app.Common, n *app.Notifying, s app.Streams) error {
	return o.report(s.Out, notifier(ctx, c, n, true))
}

// part has the findings about one part of what a service needs, such as the store.
type part struct {
	name  string
	found []ports.Finding
}

// servers checks store, broker and what the addresses need at once.
func servers(ctx context.Context, c *app.Common, publishes bool, options app.BrokerOptions) []part {
	parts := []part{{name: "store"}, {name: "broker"}, {name: "tls"}, {name: "tokens"}, {name: "admin"}}
	var wg sync.WaitGroup
	wg.Go(func() { parts[0].found = c.CheckStore(ctx) })
	wg.Go(func() { parts[1].found = c.CheckBroker(ctx, publishes, options) })
	wg.Go(func() { parts[2].found = c.CheckTLS() })
	wg.Go(func() { parts[3].found = c.CheckTokens(ctx) })
	wg.Go(func() { parts[4].found = c.CheckAdmin() })
	wg.Wait()
	return parts
}

// notifier checks the channels, too.
func notifier(ctx context.Context, c *app.Common, n *app.Notifying, both bool) []part {
	channels, faults := n.CheckChannels(nil)
	if faults != nil {
		return append(servers(ctx, c, both, app.BrokerOptions{InProcess: both}), part{"channels", faults})
	}
	defer channels.Close()
	var parts []part
	var receivers []app.ChannelFindings
	var wg sync.WaitGroup
	wg.Go(func() { parts = servers(ctx, c, both, app.BrokerOptions{Channels: channels, InProcess: both}) })
	wg.Go(func() { receivers = channels.Check(ctx) })
	wg.Wait()
	for _, r := range receivers {
		parts = append(parts, part{"channel " + r.Channel, r.Found})
	}
	return parts
}

// report prints the findings. An error is returned unless all is well.
func (o output) report(to io.Writer, parts []part) error {
	out := bufio.NewWriter(to)
	print := printTable
	if o.JSON {
		print = printJSON
	}
	if err := print(out, parts); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	faults := 0
	for _, p := range parts {
		for _, f := range p.found {
			if f.Fault != "" {
				faults++
			}
		}
	}
	switch faults {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("%w: 1 fault", app.ErrNotWell)
	}
	return fmt.Errorf("%w: %d faults", app.ErrNotWell, faults)
}

// finding is a finding as JSON.
type finding struct {
	Part   string `json:"part"`
	What   string `json:"what"`
	Value  string `json:"value,omitempty"`
	OK     bool   `json:"ok"`
	Fault  string `json:"fault,omitempty"`
	WayOut string `json:"way_out,omitempty"`
}

func printJSON(out io.Writer, parts []part) error {
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	for _, p := range parts {
		for _, f := range p.found {
			err := lines.Encode(finding{p.name, f.What, shown(f.Value), f.Fault == "", shown(f.Fault), shown(f.WayOut)})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func printTable(out io.Writer, parts []part) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, p := range parts {
		for _, f := range p.found {
			state, text := "ok", shown(f.Value)
			if f.Fault != "" {
				state = "FAULT"
				if text != "" {
					text += ": "
				}
				text += shown(f.Fault) + "; " + shown(f.WayOut)
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", state, p.name, f.What, text)
		}
	}
	return table.Flush()
}

// shown returns the text in one line, without passwords.
func shown(text string) string {
	return strings.Join(strings.Fields(app.Printable(app.Redact(text))), " ")
}
