package operators

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"text/tabwriter"

	"example.com/orderflow/domain"
	"example.com/orderflow/services/cmd/internal/app"
	"example.com/orderflow/services/notification"
)

// channelCommands change the store, from which all notifiers read what is paused.
type channelCommands struct {
	List   listChannels  `cmd:"" help:"List the channels and what is paused."`
	Pause  pauseChannel  `cmd:"" help:"Hold the notifications of a channel, or of one of its receivers, until it is resumed."`
	Resume resumeChannel `cmd:"" help:"End a pause of any kind; what was held is sent at a bounded rate."`
	Forget forgetChannel `cmd:"" help:"Remove a channel from the list that is not configured any more. Its notifications stay."`
}

type listChannels struct{ output }

func (l *listChannels) Run(ctx context.Context, notifying *app.Notifying, common *app.Common, streams app.Streams) error {
	return withControl(ctx, notifying, common, streams, func(s session) error {
		channels, err := s.control.Channels(ctx)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
		if !l.JSON {
			fmt.Fprintln(table, "CHANNEL\tKIND\tRECEIVER\tSTATE\tSINCE\tNEXT PROBE\tBY\tREASON")
		}
		for _, channel := range channels {
			view := notification.NewChannelView(channel)
			if l.JSON {
				s.printJSON(view)
				continue
			}
			printChannel(table, view)
		}
		return table.Flush()
	})
}

func printChannel(table *tabwriter.Writer, view notification.ChannelView) {
	kind, state := view.Kind, "active"
	if !view.Configured {
		kind, state = "-", "not configured here"
	}
	if len(view.Pauses) == 0 || view.Pauses[0].Receiver != "" { // the channel itself is not paused
		fmt.Fprintf(table, "%s\t%s\t\t%s\t\t\t\t\n", oneLine(view.Name), kind, state)
	}
	for _, pause := range view.Pauses {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", oneLine(view.Name), kind, oneLine(pause.Receiver), pause.Kind,
			pause.Since, pause.NextProbe, oneLine(cmp.Or(pause.By, "notifier")), oneLine(pause.Reason))
	}
}

type channelSelection struct {
	Name     string `arg:"" help:"The channel."`
	Receiver string `placeholder:"NAME" help:"Only this receiver, as channels list and undelivered --json show it, or the name of an endpoint."`
}

func (c channelSelection) key() domain.PauseKey {
	return domain.PauseKey{Channel: c.Name, Receiver: c.Receiver}
}

func (c channelSelection) String() string {
	if c.Receiver == "" {
		return "channel " + oneLine(c.Name)
	}
	return fmt.Sprintf("receiver %s of channel %s", oneLine(c.Receiver), oneLine(c.Name))
}

type pauseChannel struct {
	channelSelection
	Reason string `placeholder:"TEXT" help:"Why, for other operators."`
}

func (p *pauseChannel) Run(ctx context.Context, notifying *app.Notifying, common *app.Common, streams app.Streams) error {
	return withControl(ctx, notifying, common, streams, func(s session) error {
		pause, err := s.control.Pause(ctx, p.key(), p.Reason, currentUser())
		if errors.Is(err, notification.ErrPaused) {
			view := notification.NewPauseView(pause)
			return fmt.Errorf("%s is %s already, since %s by %s", p, view.Kind, view.Since, cmp.Or(view.By, "the notifier"))
		}
		if err == nil {
			p.Receiver = pause.Receiver
			fmt.Fprintf(s.err, "%s is paused\n", p)
		}
		return asUsage(err)
	})
}

type resumeChannel struct{ channelSelection }

func (r *resumeChannel) Run(ctx context.Context, notifying *app.Notifying, common *app.Common, streams app.Streams) error {
	return withControl(ctx, notifying, common, streams, func(s session) error {
		pause, err := s.control.Resume(ctx, r.key(), currentUser())
		if errors.Is(err, notification.ErrNotPaused) {
			return fmt.Errorf("%s is not paused; channels list shows what is", r)
		}
		if err == nil {
			r.Receiver = pause.Receiver
			fmt.Fprintf(s.err, "%s is resumed; what was held is being sent\n", r)
		}
		return err
	})
}

type forgetChannel struct {
	Name string `arg:"" help:"The channel."`
}

func (f *forgetChannel) Run(ctx context.Context, notifying *app.Notifying, common *app.Common, streams app.Streams) error {
	return withControl(ctx, notifying, common, streams, func(s session) error {
		err := s.control.ForgetChannel(ctx, f.Name, currentUser())
		switch {
		case errors.Is(err, notification.ErrInUse):
			return fmt.Errorf("%w; a channel can be forgotten once it is not configured and not paused, and nothing waits: "+
				"what waits goes on while the channel is configured, and undelivered --channel=%s lists it", err, oneLine(f.Name))
		case err == nil:
			fmt.Fprintf(s.err, "channel %s is forgotten\n", oneLine(f.Name))
		}
		return err
	})
}
