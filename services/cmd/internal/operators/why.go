package operators

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/account"
	"example.com/orderflow/services/cmd/internal/app"
	"example.com/orderflow/services/internal/httpapi"
)

// whyOrder is the argument of why.
type whyOrder struct {
	Order string `arg:"" placeholder:"ID" help:"The order's id."`
	output
}

type whyOfNotifications struct{ whyOrder }

// Run prints where the order's event is. It asks the order service, if it knows its address;
// otherwise it looks into its own store, which may be the order service's, too.
func (w *whyOfNotifications) Run(ctx context.Context, notifying *app.Notifying, orders *app.OrdersAt, common *app.Common, streams app.Streams) error {
	return w.ofBoth(ctx, notifying, common, streams, orders.OrderStore())
}

type whyOfBoth struct{ whyOrder }

// Run prints where the order's event is.
func (w *whyOfBoth) Run(ctx context.Context, notifying *app.Notifying, common *app.Common, streams app.Streams) error {
	return w.ofBoth(ctx, notifying, common, streams, nil)
}

func (w *whyOrder) ofBoth(ctx context.Context, notifying *app.Notifying, common *app.Common, streams app.Streams, orders account.OrderStore) error {
	if _, err := w.id(); err != nil {
		return err
	}
	return withOffice(ctx, notifying, common, streams, func(*app.Store) account.Orders { return nil }, func(ctx context.Context, office *account.Office, s session) error {
		if orders == nil {
			return w.print(ctx, office, s.store.Orders, s)
		}
		return w.print(ctx, office, orders, s)
	})
}

type whyOfOrders struct{ whyOrder }

// Run prints whether the order's event is published.
func (w *whyOfOrders) Run(ctx context.Context, common *app.Common, streams app.Streams) error {
	if _, err := w.id(); err != nil {
		return err
	}
	return withOrders(ctx, common, streams, func(ctx context.Context, office *account.Office, s session) error {
		return w.print(ctx, office, s.store.Orders, s)
	})
}

func (w *whyOrder) id() (domain.OrderID, error) {
	id, err := domain.ParseOrderID(w.Order)
	if err != nil {
		return "", app.UsageErrorf("%q is not an order's id; give a UUID with hyphens", oneLine(w.Order))
	}
	return id, nil
}

func (w *whyOrder) print(ctx context.Context, office *account.Office, orders account.OrderStore, s session) error {
	id, err := w.id()
	if err != nil {
		return err
	}
	trace, away, err := office.TraceWithin(ctx, askTimeout, orders, id)
	if away != nil {
		fmt.Fprintf(s.err, "not known: orders: %v\n", app.Printable(away.Error()))
	}
	if err != nil {
		return err
	}
	if w.JSON {
		s.printJSON(account.NewTraceView(trace))
	} else {
		printTrace(s, trace)
	}
	return s.flush()
}

// askTimeout bounds a question to who keeps the orders.
const askTimeout = 5 * time.Second

func printTrace(s session, t account.Trace) {
	fmt.Fprintf(s.out, "order %s", t.OrderID)
	if t.Order != nil {
		fmt.Fprintf(s.out, " of user %s, taken at %s", app.Printable(t.Order.UserID), httpapi.FormatTime(t.Order.CreatedAt))
	}
	fmt.Fprintf(s.out, "\nevent %s: ", t.Event)
	switch t.Outbox {
	case account.Waiting:
		fmt.Fprintf(s.out, "waits in the outbox%s\n", claimedBy(t.Holder))
	case account.Published:
		fmt.Fprintln(s.out, "published")
	default:
		fmt.Fprintln(s.out, "the order service knows whether it is published")
	}
	if len(t.Recipients) == 0 && t.Outbox == account.Published {
		fmt.Fprintf(s.out, "notification why %s says what became of it\n", t.OrderID)
	}
	for _, r := range t.Recipients {
		name := app.Printable(r.Channel)
		if r.Recipient != "" {
			name += " to " + app.Printable(r.Recipient)
		}
		fmt.Fprintf(s.out, "%s: %s\n", name, s.where(r))
	}
	for _, l := range t.Letters {
		fmt.Fprintf(s.out, "dead letter %s: %s\n", app.Printable(l.ID), letterText(l))
	}
}

// where says where the recipient's notification is.
func (s session) where(r account.RecipientTrace) string {
	switch r.Place {
	case account.Waiting:
		return "its event waits in the outbox"
	case account.InHand:
		return "in hand" + claimedBy(r.Holder)
	case account.SetAside:
		return "its event is a dead letter, and nothing was sent"
	case account.Earlier:
		return "not for it: it gets the events since " + httpapi.FormatTime(r.Opened)
	case account.NotKnown:
		return "not recorded; whether it is in the queue is not known: " + oneLine(r.Unknown)
	case account.Missing:
		return "missing: it is not recorded, and the queue is empty"
	case account.Queued:
		text := "in the queue"
		if q := r.Queue; q != nil {
			text += fmt.Sprintf(" (%d ready, %d come again later, %d taken, %s consumers)", q.Ready, q.Delayed, q.Taken, s.consumers(q.Consumers))
		}
		return text
	}
	return recorded(*r.Notification, r)
}

// recorded says what the delivery log has.
func recorded(n domain.Notification, r account.RecipientTrace) string {
	at := httpapi.FormatTime(n.At)
	reason := ""
	if n.Reason != "" {
		reason = ": " + oneLine(n.Reason)
	}
	switch n.State {
	case domain.Sent:
		return fmt.Sprintf("sent at %s, at attempt %d", at, n.Attempt)
	case domain.Skipped:
		return "skipped at " + at + reason
	case domain.Retrying:
		return fmt.Sprintf("retrying since %s, after %s, next at %s%s%s", httpapi.FormatTime(n.Since()), count(n.Attempt, "attempt"), httpapi.FormatTime(n.NextTry), claimedBy(r.Holder), reason)
	case domain.Held:
		text := "held since " + at + " by the pause of " + app.Printable(n.HeldBy.Channel)
		if n.HeldBy.Receiver != "" {
			text += " " + app.Printable(n.HeldBy.Receiver)
		}
		if p := r.Pause; p != nil {
			text += fmt.Sprintf(" (%s, by %s, since %s)", p.Kind, cmp.Or(app.Printable(p.By), "the notifier"), httpapi.FormatTime(p.Since))
			if !p.Probe.IsZero() {
				text += ", next probe at " + httpapi.FormatTime(p.Probe)
			}
		}
		return text + claimedBy(r.Holder) + reason
	case domain.Dead:
		text := fmt.Sprintf("dead since %s, after %s%s", at, count(n.Attempt, "attempt"), claimedBy(r.Holder))
		if r.Letter == nil {
			text += ", no dead letter is stored"
		}
		return text + reason
	}
	return string(n.State)
}

func claimedBy(h ports.Holder) string {
	if h == (ports.Holder{}) {
		return ""
	}
	if h.Process == "" {
		return ", free from " + httpapi.FormatTime(h.Until)
	}
	return fmt.Sprintf(", claimed by process %s until %s (for %v more)", app.Printable(h.Process), httpapi.FormatTime(h.Until), time.Until(h.Until).Round(time.Second))
}

func letterText(l ports.DeadLetterRecord) string {
	latest := l.LatestFailure()
	text := fmt.Sprintf("%s since %s", l.State, httpapi.FormatTime(l.Since))
	if l.State != ports.Waiting {
		text = fmt.Sprintf("%s at %s by %s", l.State, httpapi.FormatTime(l.SettledAt), app.Printable(l.SettledBy))
	}
	return text + ", set aside " + count(len(l.Failures), "time") + ", the last time: " + oneLine(latest.Reason)
}
