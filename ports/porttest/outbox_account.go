package porttest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// checkOutboxAccount fails t unless both processes return this account.
func checkOutboxAccount(t testing.TB, s Store, want ports.OutboxAccount) {
	t.Helper()
	for _, outbox := range []ports.Outbox{s.Outbox, s.Other} {
		got, err := outbox.Account(bounded(t))
		must(t, "count orders", err)
		checkEqual(t, "account of the orders", want, got)
	}
}

// outboxModel knows what an outbox has.
type outboxModel struct {
	added     []domain.Order
	published map[domain.EventID]bool
}

func (m outboxModel) account() ports.OutboxAccount {
	account := ports.OutboxAccount{Orders: len(m.added), Published: len(m.published)}
	for _, order := range m.added {
		if !m.published[order.Created().ID] {
			account.Waiting = withOne(account.Waiting, order.CreatedAt)
		}
	}
	return account
}

// withOne returns the backlog with one more that waits since then.
func withOne(b ports.Backlog, since time.Time) ports.Backlog {
	if b.N++; b.N == 1 || since.Before(b.Oldest) {
		b.Oldest = since
	}
	return b
}

var outboxAccount = []Clause[Store]{
	{"Account counts the orders, the published and the waiting events, with the time of the oldest waiting order", func(t testing.TB, s Store) {
		checkOutboxAccount(t, s, ports.OutboxAccount{})
		m := outboxModel{published: map[domain.EventID]bool{}}
		for _, order := range hardOrders() { // the last one is the oldest
			must(t, "add order", s.Orders.Add(bounded(t), order, domain.Origin{}))
			m.added = append(m.added, order)
			checkOutboxAccount(t, s, m.account())
		}
		for i := len(m.added) - 1; i >= 0; i -= 2 {
			m.published[m.added[i].Created().ID] = true
			mark(t, s.Other, m.added[i].Created().ID)
			checkOutboxAccount(t, s, m.account())
		}
		for _, order := range m.added {
			m.published[order.Created().ID] = true
		}
		mark(t, s.Outbox, eventIDs(created(m.added))...)
		checkOutboxAccount(t, s, m.account())
	}},

	{"Account adds up after any calls", func(t testing.TB, s Store) {
		m := outboxModel{published: map[domain.EventID]bool{}}
		random := rand.New(rand.NewPCG(1, 2))
		for range 60 {
			var some []domain.EventID
			for range random.IntN(4) {
				some = append(some, event(random.IntN(20)).ID) // of orders that were added or not, some twice
			}
			switch random.IntN(6) {
			case 0, 1, 2:
				order := order(random.IntN(20))
				if err := s.Orders.Add(bounded(t), order, domain.Origin{}); err == nil {
					m.added = append(m.added, order)
				}
			case 3:
				claim(t, s.Other, 5)
			case 4:
				release(t, s, time.Now().Add(-time.Second), some...)
			case 5:
				mark(t, s.Outbox, some...)
				for _, order := range m.added {
					for _, id := range some {
						if order.Created().ID == id {
							m.published[id] = true
						}
					}
				}
			}
			checkOutboxAccount(t, s, m.account())
		}
	}},

	{"Account and Holder: Holder names who has claimed an event, until when", func(t testing.TB, s Store) {
		if _, err := s.Other.Holder(bounded(t), event(1).ID); !errors.Is(err, ports.ErrNotFound) {
			t.Errorf("holder of an unknown event: error %v, want one that wraps %q", err, ports.ErrNotFound)
		}
		withinLease(t, s.Lease, func(round int) (claimed time.Time, fault string) {
			e := event(round)
			begin := time.Now()
			must(t, "add order", s.Orders.Add(bounded(t), order(round), domain.Origin{}))
			holder, err := s.Other.Holder(bounded(t), e.ID)
			must(t, "find event", err)
			if end := begin.Add(s.Lease); holder.Process == "" || holder.Until.Before(begin) || holder.Until.After(end.Add(s.Lease)) {
				fault = fmt.Sprintf("the holder is %+v, want a process until %v", holder, end)
			}
			release(t, s, begin.Add(-time.Second), e.ID)
			holder, err = s.Outbox.Holder(bounded(t), e.ID)
			must(t, "find event", err)
			if holder != (ports.Holder{}) {
				fault = fmt.Sprintf("after Release, the holder is %+v, want none", holder)
			}
			mark(t, s.Outbox, e.ID)
			if _, err := s.Outbox.Holder(bounded(t), e.ID); !errors.Is(err, ports.ErrNotFound) {
				fault = fmt.Sprintf("holder of a published event: error %v, want one that wraps %q", err, ports.ErrNotFound)
			}
			return begin, fault
		})
		checkEnded(t, "Holder", func(ctx context.Context) error { return errorOf(s.Outbox.Holder(ctx, event(1).ID)) })
	}},

	{"Account of the orders with an ended context returns its error", func(t testing.TB, s Store) {
		checkEnded(t, "Account", func(ctx context.Context) error { return errorOf(s.Outbox.Account(ctx)) })
	}},
}
