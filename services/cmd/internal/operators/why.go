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

type why struct{ whyOrder }

// Run prints where the order's event is. The notifier's store may be the order service's,
// too; otherwise nobody knows here whether the event is published.
func (w *why) Run(ctx context.Context, notifying *app.Notifying, common *app.Common, streams app.Streams) error {
	if _, err := w.id(); err != nil {
		return err
	}
	return withOffice(ctx, notifying, common, streams, func(*app.Store) account.Orders { return nil }, w.print)
}

type whyOfOrders struct{ whyOrder }

// Run prints whether the order's event is published.
func (w *whyOfOrders) Run(ctx context.Context, common *app.Common, streams app.Streams) error {
	if _, err := w.id(); err != nil {
		return err
	}
	return withOrders(ctx, common, streams, w.print)
}

func (w *whyOrder) id() (domain.OrderID, error) {
	id, err := domain.ParseOrderID(w.Order)
	if err != nil {
		return "", app.UsageErrorf("%q is not an order's id; give a UUID with hyphens", oneLine(w.Order))
	}
	return id, nil
}

func (w *whyOrder) print(ctx context.Context, office *account.Office, s session) error {
	id, err := w.id()
	if err != nil {
		return err
	}
	trace, err := office.Trace(ctx, s.store.Orders, id)
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
		return fmt.Sprintf("retrying since %s, %d attempts, next at %s%s%s", httpapi.FormatTime(n.Since()), n.Attempt, httpapi.FormatTime(n.NextTry), claimedBy(r.Holder), reason)
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
		text := fmt.Sprintf("dead since %s, after %d attempts%s", at, n.Attempt, claimedBy(r.Holder))
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
	text := fmt.Sprintf("%s since %s, failed %d times", l.State, httpapi.FormatTime(l.Since), len(l.Failures))
	if l.State != ports.Waiting {
		text = fmt.Sprintf("%s at %s by %s, failed %d times", l.State, httpapi.FormatTime(l.SettledAt), app.Printable(l.SettledBy), len(l.Failures))
	}
	return text + ", the last time: " + oneLine(latest.Reason)
}
