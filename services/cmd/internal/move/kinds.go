package move

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// workers is how many records are under way at once. The stores write calls together
// that arrive at the same time.
const workers = 256

func (m *mover) contacts() kind[ports.Contact] {
	list := func(contacts ports.Contacts) lister[ports.Contact] {
		return func(ctx context.Context, cursor string) (page[ports.Contact], error) {
			p, err := contacts.List(ctx, ports.MaxListLimit, cursor)
			return page[ports.Contact]{p.Contacts, p.NextCursor, p.Unreadable}, err
		}
	}
	return kind[ports.Contact]{
		name: "contacts", total: m.rows["contacts"], workers: 8, chunk: 200,
		source: list(m.source.Contacts()), target: list(m.target.Contacts),
		compare: func(a, b ports.Contact) int { return strings.Compare(a.UserID, b.UserID) },
		id:      func(c ports.Contact) string { return "user " + c.UserID },
		isNewer: func(target, source ports.Contact) bool { return target.UpdatedAt.After(source.UpdatedAt) },
		put: func(ctx context.Context, changes []*change[ports.Contact]) error {
			var contacts []ports.Contact
			for _, c := range changes {
				contacts = append(contacts, c.record)
			}
			return m.target.Contacts.Put(ctx, contacts...)
		},
	}
}

func (m *mover) channels() kind[string] {
	list := func(states ports.ChannelStates) lister[string] {
		return func(ctx context.Context, _ string) (page[string], error) {
			names, err := states.Register(ctx)
			return page[string]{records: names}, err
		}
	}
	return kind[string]{
		name: "channels", total: m.rows["channels"], workers: 1, chunk: 1,
		source: list(m.source.ChannelStates()), target: list(m.target.States),
		compare: strings.Compare, id: func(name string) string { return name },
		isNewer: func(string, string) bool { return false },
		put: oneByOne(func(ctx context.Context, c *change[string]) error {
			_, err := m.target.States.Register(ctx, c.record)
			return err
		}),
	}
}

func (m *mover) pauses() kind[ports.Pause] {
	list := func(states ports.ChannelStates) lister[ports.Pause] {
		return func(ctx context.Context, _ string) (page[ports.Pause], error) {
			pauses, err := states.Pauses(ctx)
			return page[ports.Pause]{records: pauses}, err
		}
	}
	return kind[ports.Pause]{
		name: "pauses", total: m.rows["pauses"], workers: 1, chunk: 1,
		source: list(m.source.ChannelStates()), target: list(m.target.States),
		compare: func(a, b ports.Pause) int {
			return cmp.Or(strings.Compare(a.Channel, b.Channel), strings.Compare(a.Receiver, b.Receiver))
		},
		id:      func(p ports.Pause) string { return strings.TrimSpace(p.Channel + " " + p.Receiver) },
		isNewer: func(target, source ports.Pause) bool { return target.Since.After(source.Since) },
		put: oneByOne(func(ctx context.Context, c *change[ports.Pause]) error {
			if c.before != nil {
				return c.keep(m.target.States.Change(ctx, *c.before, c.record), ports.ErrChanged)
			}
			return c.keep(m.target.States.Pause(ctx, c.record), ports.ErrExists)
		}),
	}
}

func (m *mover) actions() kind[ports.OperatorAction] {
	list := func(actions ports.OperatorActions) lister[ports.OperatorAction] {
		return func(ctx context.Context, cursor string) (page[ports.OperatorAction], error) {
			p, err := actions.List(ctx, ports.OperatorActionQuery{Limit: ports.MaxListLimit, Cursor: cursor})
			return page[ports.OperatorAction]{p.Actions, p.NextCursor, p.Unreadable}, err
		}
	}
	type action = ports.OperatorAction
	return kind[action]{
		name: "operators' actions", total: m.rows["operator_actions"], workers: 32, chunk: 1,
		source: list(m.source.OperatorActions()), target: list(m.target.Actions),
		compare: func(a, b action) int { return -cmp.Or(a.At.Compare(b.At), strings.Compare(a.ID, b.ID)) },
		id:      func(a action) string { return a.ID },
		isNewer: func(target, source action) bool { return target.EndedAt.After(source.EndedAt) },
		put: oneByOne(func(ctx context.Context, c *change[action]) error {
			if c.before == nil {
				if err := m.target.Actions.Begin(ctx, c.record); err != nil && !errors.Is(err, ports.ErrExists) {
					return c.keep(err)
				}
			}
			if c.record.EndedAt.IsZero() {
				return nil
			}
			return c.keep(m.target.Actions.End(ctx, c.record.ID, c.record.ActionEnd), ports.ErrNotFound)
		}),
	}
}

func (m *mover) notifications() kind[domain.Notification] {
	return kind[domain.Notification]{
		name: "notifications", total: m.rows["deliveries"], workers: workers, chunk: 1,
		source: listNotifications(m.source.Deliveries()), target: listNotifications(m.target.Deliveries),
		compare: func(a, b domain.Notification) int { return -cmp.Or(a.At.Compare(b.At), compareKeys(a.Key(), b.Key())) },
		id: func(n domain.Notification) string {
			return strings.TrimSpace("event " + string(n.EventID) + " by " + n.Channel + " " + n.Recipient)
		},
		find: m.findNotification, findsItself: true,
		isNewer: func(target, source domain.Notification) bool { return target.At.After(source.At) },
		put:     oneByOne(m.putNotification),
	}
}

func compareKeys(a, b domain.NotificationKey) int {
	return cmp.Or(strings.Compare(string(a.EventID), string(b.EventID)), strings.Compare(a.Channel, b.Channel), strings.Compare(a.Recipient, b.Recipient))
}

// findNotification finds the target's record by its order, because its time may differ.
func (m *mover) findNotification(ctx context.Context, n domain.Notification) (domain.Notification, error) {
	query := ports.NotificationQuery{OrderID: n.OrderID, Channel: n.Channel, Limit: ports.MaxListLimit}
	for {
		p, err := m.target.Deliveries.List(ctx, query)
		if err != nil {
			return domain.Notification{}, err
		}
		for _, other := range p.Notifications {
			if other.Key() == n.Key() {
				return other, nil
			}
		}
		if query.Cursor = p.NextCursor; query.Cursor == "" {
			return domain.Notification{}, ports.ErrNotFound
		}
	}
}

// putNotification records the notification. It can't change one at the target that is
// sent or skipped; the account shows it.
func (m *mover) putNotification(ctx context.Context, c *change[domain.Notification]) (err error) {
	n := c.record
	var event domain.Event
	if n.State.Waits() {
		if event, err = m.source.Deliveries().Event(ctx, n.Key()); err != nil {
			return c.keep(err)
		}
	}
	claim, err := m.target.Deliveries.Claim(ctx, n.Key())
	if errors.Is(err, ports.ErrExists) {
		claim, err = m.claimRecorded(ctx, n)
	}
	if err != nil {
		return c.keep(err, ports.ErrExists, ports.ErrNotFound)
	}
	if tried, wasDead := m.dead[n.Key()]; wasDead { // Record puts these attempts before the new ones
		n.Attempts = slices.DeleteFunc(slices.Clone(n.Attempts), func(a domain.Attempt) bool {
			return slices.ContainsFunc(tried, func(b domain.Attempt) bool { return len(differences(a, b)) == 0 })
		})
	}
	return claim.Record(context.WithoutCancel(ctx), n, event)
}

// claimRecorded claims the target's record of the notification, if that waits and is not
// newer.
func (m *mover) claimRecorded(ctx context.Context, n domain.Notification) (ports.DeliveryClaim, error) {
	recorded, err := m.findNotification(ctx, n)
	switch {
	case err != nil:
		return nil, err
	case !recorded.State.Waits() || recorded.At.After(n.At) || len(differences(recorded, n)) == 0:
		return nil, ports.ErrExists
	}
	return m.target.Deliveries.ClaimWaiting(ctx, n.Key())
}

// findDead finds the attempts of the target's dead notifications, which Claim takes for
// new ones.
func (m *mover) findDead(ctx context.Context) error {
	m.dead = make(map[domain.NotificationKey][]domain.Attempt)
	list := pager[domain.Notification]{list: listNotifications(m.target.Deliveries, domain.Dead)}
	for {
		n, more, err := list.next(ctx)
		if err != nil || !more {
			return err
		}
		m.dead[n.Key()] = n.Attempts
	}
}

func listNotifications(log ports.DeliveryLog, states ...domain.NotificationState) lister[domain.Notification] {
	return func(ctx context.Context, cursor string) (page[domain.Notification], error) {
		p, err := log.List(ctx, ports.NotificationQuery{States: states, Limit: ports.MaxListLimit, Cursor: cursor})
		return page[domain.Notification]{p.Notifications, p.NextCursor, p.Unreadable}, err
	}
}

func (m *mover) deadLetters() kind[ports.DeadLetterRecord] {
	list := func(letters ports.DeadLetters) lister[ports.DeadLetterRecord] {
		return func(ctx context.Context, cursor string) (page[ports.DeadLetterRecord], error) {
			p, err := letters.List(ctx, ports.DeadLetterQuery{Limit: ports.MaxListLimit, Cursor: cursor})
			return page[ports.DeadLetterRecord]{p.Records, p.NextCursor, p.Unreadable}, err
		}
	}
	type record = ports.DeadLetterRecord
	return kind[record]{
		name: "dead letters", total: m.rows["dead_letters"], workers: 32, chunk: 1, // their messages may be large
		source: list(m.source.DeadLetters()), target: list(m.target.DeadLetters),
		compare: func(a, b record) int { return cmp.Or(a.Since.Compare(b.Since), strings.Compare(a.ID, b.ID)) },
		id:      func(r record) string { return r.ID },
		load:    func(ctx context.Context, r record) (record, error) { return m.source.DeadLetters().Get(ctx, r.ID) },
		find:    func(ctx context.Context, r record) (record, error) { return m.target.DeadLetters.Get(ctx, r.ID) },
		isNewer: func(target, source record) bool {
			return cmp.Or(target.LatestFailure().LastFailure.Compare(source.LatestFailure().LastFailure), target.SettledAt.Compare(source.SettledAt)) > 0
		},
		put: oneByOne(func(ctx context.Context, c *change[record]) error {
			var before record
			if c.before != nil {
				before = *c.before
			}
			return c.keep(m.target.DeadLetters.Import(ctx, before, c.record), ports.ErrChanged)
		}),
	}
}
