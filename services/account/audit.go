package account

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

const (
	auditMargin   = 10 * time.Minute // how far the clocks of the services may differ
	auditAtOnce   = 8                // orders that are looked at one by one
	maxRecipients = 64
)

// Walk calls each for every order of a period, such as [RemoteWalk]. It returns how many
// orders can't be read.
type Walk func(ctx context.Context, from, to time.Time, each func(id domain.OrderID, createdAt time.Time) error) (unreadable int, err error)

// Audit is a comparison of the orders of a period with their notifications.
type Audit struct {
	Walk     Walk
	From, To time.Time // From is included, To is not

	// Retention is how long the notifications are kept. Older orders are passed over; 0: none.
	Retention time.Duration

	// Orders may have the outbox of these orders; nil: it is not known which events wait in it.
	Orders OrderStore

	// Progress is called now and then with what was read so far; nil: not called.
	Progress func(orders, notifications int)

	// Found is called for each order and recipient that is not accounted for: whose
	// notification is neither sent nor skipped. Several calls never overlap.
	Found func(Finding) error
}

// Finding is an order that has not reached a recipient, and where its event is.
type Finding struct {
	OrderID   domain.OrderID
	CreatedAt time.Time
	RecipientTrace
}

// Reason says in a word why the order is not accounted for: the state of its notification,
// or its place.
func (f Finding) Reason() string {
	if f.Notification != nil {
		return string(f.Notification.State)
	}
	return string(f.Place)
}

// AuditResult says how many orders were compared, and how many findings there are. What
// can't be read was not compared.
type AuditResult struct {
	Orders     int
	Findings   int
	Unreadable int
}

// Audit compares each order of the period with the delivery log. It keeps some 50 bytes for
// each order in memory. It reads the log once, and then looks one by one at the orders that
// were not complete there.
func (o *Office) Audit(ctx context.Context, audit Audit) (result AuditResult, err error) {
	recipients, err := o.auditedRecipients(ctx)
	if err != nil {
		return result, fmt.Errorf("audit: %w", err)
	}
	if len(recipients) > maxRecipients {
		return result, fmt.Errorf("audit: %d recipients are configured; at most %d can be audited", len(recipients), maxRecipients)
	}
	notifications := 0
	progress := func() {
		if audit.Progress != nil {
			audit.Progress(result.Orders, notifications)
		}
	}
	delivered := make(map[orderKey]uint64) // a bit for each recipient
	err = o.eachDelivered(ctx, audit.From.Add(-auditMargin), func(n domain.Notification) {
		if i := slices.IndexFunc(recipients, func(r auditedRecipient) bool { return r.channel == n.Channel && r.name == n.Recipient }); i >= 0 {
			if key, ok := keyOf(n.OrderID); ok {
				delivered[key] |= 1 << i
			}
		}
		if notifications++; notifications%10_000 == 0 {
			progress()
		}
	})
	if err != nil {
		return result, fmt.Errorf("audit: read the delivery log: %w", err)
	}

	var suspects []suspect
	result.Unreadable, err = audit.Walk(ctx, audit.From, audit.To, func(id domain.OrderID, createdAt time.Time) error {
		if audit.Retention > 0 && time.Since(createdAt) > audit.Retention { // deleted while the log was read
			return nil
		}
		if result.Orders++; result.Orders%1000 == 0 {
			progress()
		}
		key, _ := keyOf(id)
		for i, r := range recipients {
			if delivered[key]&(1<<i) == 0 && !r.getsNot(createdAt) {
				suspects = append(suspects, suspect{id, createdAt})
				break
			}
		}
		return nil
	})
	if err != nil {
		return result, fmt.Errorf("audit: read the orders: %w", err)
	}
	progress()
	result.Findings, err = o.inspect(ctx, audit, suspects, recipients)
	if err != nil {
		return result, fmt.Errorf("audit: %w", err)
	}
	return result, nil
}

// orderKey is an order's id in few bytes.
type orderKey [16]byte

func keyOf(id domain.OrderID) (key orderKey, ok bool) {
	n, err := hex.Decode(key[:], []byte(strings.ReplaceAll(string(id), "-", "")))
	return key, err == nil && n == len(key)
}

type auditedRecipient struct {
	recipient
	opened time.Time // it gets no events of earlier orders; zero: it gets all
}

// getsNot reports whether the recipient was added after the order was taken.
func (r auditedRecipient) getsNot(createdAt time.Time) bool { return createdAt.Before(r.opened) }

// auditedRecipients returns the configured recipients.
func (o *Office) auditedRecipients(ctx context.Context) (all []auditedRecipient, err error) {
	openings, err := o.parts.States.Openings(ctx)
	if err != nil {
		return nil, err
	}
	for _, channel := range o.parts.Channels {
		for _, name := range channel.Recipients {
			r := auditedRecipient{recipient: recipient{channel.Name, name}}
			for _, opening := range openings {
				if opening.Channel == channel.Name && opening.Recipient == name && opening.Before > 0 {
					r.opened = opening.At
				}
			}
			all = append(all, r)
		}
	}
	return all, nil
}

// eachDelivered calls f for each notification that is sent or skipped, since then.
func (o *Office) eachDelivered(ctx context.Context, from time.Time, f func(domain.Notification)) error {
	query := ports.NotificationQuery{States: []domain.NotificationState{domain.Sent, domain.Skipped}, From: from, Limit: ports.MaxListLimit}
	for {
		page, err := o.parts.Deliveries.List(ctx, query)
		if err != nil {
			return err
		}
		for _, n := range page.Notifications {
			f(n)
		}
		if query.Cursor = page.NextCursor; query.Cursor == "" {
			return nil
		}
	}
}

// suspect is an order that was not complete in the delivery log.
type suspect struct {
	id        domain.OrderID
	createdAt time.Time
}

// inspect looks at each of the orders, several at once, and calls Found in their order.
func (o *Office) inspect(ctx context.Context, audit Audit, suspects []suspect, recipients []auditedRecipient) (findings int, err error) {
	for some := range slices.Chunk(suspects, auditAtOnce) {
		traces, errs := make([]Trace, len(some)), make([]error, len(some))
		var looking sync.WaitGroup
		for i, s := range some {
			looking.Go(func() { traces[i], errs[i] = o.trace(ctx, audit.Orders, s.id) })
		}
		looking.Wait()
		if err := errors.Join(errs...); err != nil {
			return findings, err
		}
		for i, s := range some {
			for _, r := range traces[i].Recipients {
				at := slices.IndexFunc(recipients, func(a auditedRecipient) bool { return a.channel == r.Channel && a.name == r.Recipient })
				if r.Delivered() || at < 0 || recipients[at].getsNot(s.createdAt) {
					continue
				}
				findings++
				if err := audit.Found(Finding{s.id, s.createdAt, r}); err != nil {
					return findings, err
				}
			}
		}
	}
	return findings, nil
}
