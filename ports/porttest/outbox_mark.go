package porttest

import (
	"context"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

var outboxMark = []Clause[Store]{
	{"MarkPublished removes a claimed event permanently", func(t testing.TB, s Store) {
		all := addEvents(t, s, 1, 3)
		mark(t, s.Outbox, all[0].ID) // claimed by Add
		awaitFree(t, s.Outbox, all[1].ID, all[2].ID)
		mark(t, s.Outbox, all[1].ID) // claimed by Claim
		awaitFree(t, s.Outbox, all[2].ID)
		mark(t, s.Other, all[2].ID) // claimed by another process
		checkOutbox(t, s)
		checkOutbox(t, s) // still, after another lease
	}},

	{"MarkPublished removes a free event permanently", func(t testing.TB, s Store) {
		all := addEvents(t, s, 1, 3)
		waitOut(s.Lease)
		mark(t, s.Other, eventIDs(all)...)
		checkOutbox(t, s)
		checkOutbox(t, s)
	}},

	{"MarkPublished removes every event of a call", func(t testing.TB, s Store) {
		all := orders(1, 300)
		add(t, s, all...)
		mark(t, s.Outbox, eventIDs(created(all))...)
		checkOutbox(t, s)
	}},

	{"MarkPublished removes no other event", func(t testing.TB, s Store) {
		all := addEvents(t, s, 1, 5)
		mark(t, s.Outbox)
		mark(t, s.Outbox, all[1].ID, all[3].ID)
		checkOutbox(t, s, all[0], all[2], all[4])
	}},

	{"MarkPublished ignores unknown ids", func(t testing.TB, s Store) {
		all := addEvents(t, s, 1, 2)
		unknown := []domain.EventID{event(3).ID, "", "no event's id", domain.EventID(all[0].Order.ID), all[0].ID + "-2"}
		mark(t, s.Outbox, unknown...)
		mark(t, s.Outbox, append(unknown, all[1].ID)...)
		checkOutbox(t, s, all[0])
	}},

	{"MarkPublished may be repeated", func(t testing.TB, s Store) {
		all := addEvents(t, s, 1, 2)
		for range 2 {
			mark(t, s.Outbox, all[0].ID, all[0].ID)
			mark(t, s.Other, all[0].ID)
		}
		checkOutbox(t, s, all[1])
	}},

	{"MarkPublished leaves the order as it is", func(t testing.TB, s Store) {
		want := addEvents(t, s, 1, 1)[0]
		mark(t, s.Outbox, want.ID)
		checkKept(t, s, want.Order)
		checkList(t, s, ports.OrderQuery{Limit: 10}, want.Order)
	}},

	{"MarkPublished with an ended context marks nothing", func(t testing.TB, s Store) {
		want := addEvents(t, s, 1, 1)[0]
		checkEnded(t, "MarkPublished", func(ctx context.Context) error { return s.Outbox.MarkPublished(ctx, want.ID) })
		checkOutbox(t, s, want)
	}},

	{"MarkPublished shares no memory with its caller", func(t testing.TB, s Store) {
		all := addEvents(t, s, 1, 2)
		ids := []domain.EventID{all[0].ID}
		mark(t, s.Outbox, ids...)
		ids[0] = all[1].ID
		time.Sleep(quiet)
		checkOutbox(t, s, all[1])
	}},
}
