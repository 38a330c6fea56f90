package operators

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"example.com/orderflow/services/account"
	"example.com/orderflow/services/cmd/internal/app"
)

// OfOrders are the commands of an executable that only takes orders.
type OfOrders struct {
	Account accountOfOrders `cmd:"" help:"Add up orders and events; exit with status 0 only if nothing is missing."`
	Why     whyOfOrders     `cmd:"" help:"Say whether an order's event waits in the outbox, who has claimed it, or whether it is published."`
	Status  status          `cmd:"" help:"Show what runs: version, readiness, account and settings. Asks the running service at --admin-addr."`
}

// OfNotifications are the commands of an executable that only notifies.
type OfNotifications struct {
	Account accountOfNotifications `cmd:"" help:"Add up what became of all events; exit with status 0 only if nothing is missing."`
	Why     whyOfNotifications     `cmd:"" help:"Say where an order's event is, for each channel."`
	Status  status                 `cmd:"" help:"Show what runs: version, readiness, account and settings. Asks the running service at --admin-addr."`
}

// OfBoth are the commands of an executable that takes orders and notifies.
type OfBoth struct {
	Account accountOfBoth `cmd:"" help:"Add up what became of all orders; exit with status 0 only if nothing is missing."`
	Why     whyOfBoth     `cmd:"" help:"Say where an order's event is, for each channel."`
	Status  status        `cmd:"" help:"Show what runs: version, readiness, account and settings. Asks the running service at --admin-addr."`
}

// printing is how a command prints an account.
type printing struct {
	Wait time.Duration `default:"10s" help:"How long a difference may stay while events are under way."`
	output
}

type accountOfOrders struct{ printing }

// Run draws up the account of the orders.
func (a *accountOfOrders) Run(ctx context.Context, common *app.Common, streams app.Streams) error {
	return withOrders(ctx, common, streams, a.print)
}

// withOrders opens the store of the orders for the command's work.
func withOrders(ctx context.Context, common *app.Common, streams app.Streams, work func(context.Context, *account.Office, session) error) error {
	if err := common.CheckStoreIsShared(); err != nil {
		return err
	}
	store, err := quick(common).OpenStore(ctx, commandLog(streams))
	if err != nil {
		return err
	}
	defer store.Close()
	office, err := account.New(account.Parts{Orders: store.Orders.Account})
	if err != nil {
		return err
	}
	s := newSession(streams)
	s.store = store
	return work(ctx, office, s)
}

type accountOfNotifications struct{ printing }

// Run draws up the account of the notifications, and of the orders if it knows them.
func (a *accountOfNotifications) Run(ctx context.Context, notifying *app.Notifying, orders *app.OrdersAt, common *app.Common, streams app.Streams) error {
	return withOffice(ctx, notifying, common, streams, func(*app.Store) account.Orders { return orders.Orders() }, a.print)
}

type accountOfBoth struct{ printing }

// Run draws up the whole account.
func (a *accountOfBoth) Run(ctx context.Context, notifying *app.Notifying, common *app.Common, streams app.Streams) error {
	return withOffice(ctx, notifying, common, streams, func(store *app.Store) account.Orders { return store.Orders.Account }, a.print)
}

// withOffice opens store and broker for the command's work.
func withOffice(
	ctx context.Context, notifying *app.Notifying, common *app.Common, streams app.Streams, orders func(*app.Store) account.Orders,
	work func(context.Context, *account.Office, session) error,
) error {
	log := commandLog(streams)
	channels, err := notifying.OpenChannels(nil, log)
	if err != nil {
		return err
	}
	defer channels.Close()
	if err := cmp.Or(common.CheckStoreIsShared(), common.CheckBrokerExists()); err != nil {
		return err
	}
	broker, store, err := quick(common).Open(ctx, app.BrokerOptions{Channels: channels}, log)
	if err != nil {
		return err
	}
	defer broker.Close()
	defer store.Close()
	office, err := common.OpenOffice(store, broker, channels, orders(store), false)
	if err != nil {
		return err
	}
	s := newSession(streams)
	s.store, s.hidesConsumers = store, common.HidesConsumers()
	return work(ctx, office, s)
}

// print prints the account. While events are under way, it waits for them.
func (p *printing) print(ctx context.Context, office *account.Office, s session) error {
	const pause = 200 * time.Millisecond
	a := office.Draw(ctx)
	for end := time.Now().Add(p.Wait); a.State == account.Moving && time.Now().Before(end) && ctx.Err() == nil; a = office.Draw(ctx) {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
	if view := account.NewView(a); p.JSON {
		s.printJSON(view)
	} else {
		printAccount(s, view)
	}
	if err := s.flush(); err != nil {
		return err
	}
	switch a.State {
	case account.Uneven:
		return errors.New("the account does not add up; notification audit lists the orders that are missing")
	case account.Moving:
		return fmt.Errorf("events have been under way for %v: the account does not add up yet", p.Wait)
	case account.Unknown:
		return whatIsMissing(a)
	}
	return nil
}

// whatIsMissing says why nobody knows whether the account adds up.
func whatIsMissing(a account.Account) error {
	switch {
	case len(a.Faults) > 0:
		return errors.New("a part of the account is missing")
	case a.Orders == nil:
		return errors.New("nobody knows how many events there should be; give --orders-url, the admin address of the order service")
	}
	return errors.New("the account of a recipient was not opened yet; a notifier that knows the orders does so soon after its start")
}

func printAccount(s session, v account.View) {
	fmt.Fprintf(s.out, "%s at %s\n", strings.ToUpper(string(v.State)), v.At)
	table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	if o := v.Orders; o != nil {
		fmt.Fprintln(table, "\nORDERS\tPUBLISHED\tWAITING\tDIFFERENCE\tSTATE")
		fmt.Fprintf(table, "%d\t%d\t%s\t%d\t%s\n", o.Orders, o.Published, aged(o.Waiting), o.Difference, o.State)
	}
	if len(v.Recipients) > 0 {
		fmt.Fprintln(table, "\nCHANNEL\tRECIPIENT\tEVENTS\tSENT\tSKIPPED\tRETRYING\tHELD\tDEAD\tEXPIRED\tIN QUEUE\tDIFFERENCE\tSTATE")
	}
	for _, r := range v.Recipients {
		events, difference, state := "?", "?", string(r.State)
		if r.Events != nil {
			events, difference = fmt.Sprint(*r.Events), fmt.Sprint(r.Difference)
		}
		if !r.Configured {
			state = "not configured"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\t%d\t%d\t%s\t%s\n", app.Printable(r.Channel), cmp.Or(app.Printable(r.Recipient), "-"), events,
			r.Sent, r.Skipped, aged(r.Retrying), aged(r.Held), aged(r.Dead), r.Expired, r.InQueue, difference, state)
	}
	if len(v.Queues) > 0 {
		fmt.Fprintln(table, "\nQUEUE\tREADY\tDELAYED\tTAKEN\tCONSUMERS")
	}
	for _, q := range v.Queues {
		if !q.Exists {
			fmt.Fprintf(table, "%s\tdoes not exist\n", app.Printable(q.Channel))
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%s\n", app.Printable(q.Channel), aged(q.Ready), q.Delayed, q.Taken, s.consumers(q.Consumers))
	}
	if d := v.DeadLetterQueue; d != nil {
		fmt.Fprintf(table, "dead letters\t%s\t%d\t%d\t%s\n", aged(d.Ready), d.Delayed, d.Taken, s.consumers(d.Consumers))
	}
	if len(v.Unread) > 0 {
		fmt.Fprintln(table, "\nNOBODY READS\tMESSAGES")
	}
	for _, q := range v.Unread {
		name := "the queue of messages that can't be read"
		if q.Channel != "" {
			name = "the queue of channel " + app.Printable(q.Channel) + ", which is not configured"
		}
		fmt.Fprintf(table, "%s\t%s\n", name, aged(account.BacklogView{Count: q.Ready.Count + q.Delayed + q.Taken, Oldest: q.Ready.Oldest, AgeSeconds: q.Ready.AgeSeconds}))
	}
	if len(v.DeadLetters) > 0 {
		fmt.Fprintln(table, "\nDEAD LETTERS OF\tWAITING\tREPLAYED\tDISCARDED")
	}
	for _, l := range v.DeadLetters {
		of := cmp.Or(app.Printable(l.Subscription), "the main queue")
		if l.Unreadable {
			of += " (no events)"
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\n", of, aged(l.Waiting), l.Replayed, l.Discarded)
	}
	_ = table.Flush() // flush reports errors
	for _, f := range v.Faults {
		fmt.Fprintf(s.out, "\nnot known: %s: %s\n", f.Part, app.Printable(f.Error))
	}
}

// consumers returns the number of a queue's consumers, as far as the command knows.
func (s session) consumers(n int) string {
	if s.hidesConsumers {
		return "?"
	}
	return fmt.Sprint(n)
}

// aged returns the number, with the age of the oldest.
func aged(b account.BacklogView) string {
	if b.Oldest == "" {
		return fmt.Sprint(b.Count)
	}
	age := time.Duration(b.AgeSeconds * float64(time.Second))
	return fmt.Sprintf("%d (oldest %s)", b.Count, age.Round(time.Second))
}
