// Package move copies the data of one SQLite file to another store, and accounts for each
// record in both.
package move

import (
	"context"
	"fmt"
	"time"

	"example.com/orderflow/adapters/sqlite"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// Target is the store that the data is copied to. Its parts have methods beyond the ports
// that preserve what services never set.
type Target struct {
	Orders interface {
		ports.OrderRepository
		ports.Outbox
		Waiting(ctx context.Context, ids ...domain.EventID) ([]domain.EventID, error)
	}
	Deliveries interface {
		ports.DeliveryLog
		ClaimWaiting(ctx context.Context, key domain.NotificationKey) (ports.DeliveryClaim, error)
	}
	DeadLetters interface {
		ports.DeadLetters
		Import(ctx context.Context, before, record ports.DeadLetterRecord) error
	}
	Contacts ports.Contacts
	States   ports.ChannelStates
	Actions  ports.OperatorActions
}

// Options are the settings of [Run].
type Options struct {
	Name     string         // of the target, for people
	DryRun   bool           // copy nothing, and only compare
	Progress func(Progress) // called once a second; nil: not called
}

// Progress says how far one kind of records is.
type Progress struct {
	Doing     string // "copy" or "account for"
	Kind      string
	Done      int
	Total     int
	PerSecond int
}

// Run copies what the target lacks, and then accounts for each record of the file. If the
// account is even, it marks the file as moved. No service has the file open meanwhile.
//
// Run copies orders last. So a service that uses the target already finds an order's
// notifications before it could publish the order's event. An event that waits in the
// file's outbox or in one of its queues waits in the target's outbox afterwards, because
// the queues can't be moved: consumers recognise what they have recorded.
//
// After an error, or when ctx ends, Run can be called again. It changes no record at the
// target that is the same already, or newer.
func Run(ctx context.Context, source *sqlite.Store, target Target, o Options) (Report, error) {
	m := &mover{source: source, target: target, options: o}
	report, err := m.run(ctx)
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return report, err
}

type mover struct {
	source     *sqlite.Store
	target     Target
	options    Options
	rows       map[string]int // of the source, by table
	unfinished map[domain.OrderID]domain.Origin
	dead       map[domain.NotificationKey][]domain.Attempt // of the target's dead notifications
	report     Report
}

func (m *mover) run(ctx context.Context) (_ Report, err error) {
	if !m.options.DryRun {
		if err := m.prepare(ctx); err != nil {
			return m.report, err
		}
	}
	if m.rows, err = m.source.Rows(ctx); err != nil {
		return m.report, err
	}
	if m.unfinished, err = m.source.Unfinished(ctx); err != nil {
		return m.report, err
	}
	if m.options.DryRun {
		return m.report, m.account(ctx)
	}
	for _, pass := range m.passes() {
		if err := pass(ctx, true); err != nil {
			return m.report, fmt.Errorf("copy %w", err)
		}
	}
	if err := m.account(ctx); err != nil {
		return m.report, err
	}
	if m.report.IsEven() {
		return m.report, m.source.EndMove(ctx, m.options.Name)
	}
	return m.report, nil
}

// prepare keeps services from the file. It makes records of what only a queue has, which
// is what a service would do: dead letters, and messages that nobody can handle.
func (m *mover) prepare(ctx context.Context) error {
	if err := m.source.BeginMove(ctx, m.options.Name); err != nil {
		return err
	}
	n, err := m.source.SetAsideForeign(ctx)
	m.report.SetAside = n
	if err != nil {
		return err
	}
	faults, err := m.source.KeepQueuedLetters(ctx)
	for _, fault := range faults {
		m.report.Left = append(m.report.Left, fault.Error())
	}
	return err
}

func (m *mover) account(ctx context.Context) error {
	for _, pass := range m.passes() {
		if err := pass(ctx, false); err != nil {
			return fmt.Errorf("account for %w", err)
		}
	}
	return nil
}

// passes returns a function for each kind of records, in the order of the copy.
func (m *mover) passes() []func(ctx context.Context, copying bool) error {
	return []func(context.Context, bool) error{
		func(ctx context.Context, copying bool) error { return walk(ctx, m, m.contacts(), copying) },
		func(ctx context.Context, copying bool) error { return walk(ctx, m, m.channels(), copying) },
		func(ctx context.Context, copying bool) error { return walk(ctx, m, m.pauses(), copying) },
		func(ctx context.Context, copying bool) error { return walk(ctx, m, m.actions(), copying) },
		func(ctx context.Context, copying bool) error {
			if copying {
				if err := m.findDead(ctx); err != nil {
					return fmt.Errorf("notifications: %w", err)
				}
			}
			return walk(ctx, m, m.notifications(), copying)
		},
		func(ctx context.Context, copying bool) error { return walk(ctx, m, m.deadLetters(), copying) },
		m.orders,
	}
}

// patience bounds how long a call at the target is repeated while the target is
// unavailable, or a claim of an earlier, interrupted move has not ended.
const patience = 90 * time.Second
