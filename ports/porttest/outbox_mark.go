package porttest

import (
	"context"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

func markClaimed(t testing.TB, s Store) {
	all := events(t, 1, 3)
	for _, event := range all {
		addAll(t, s, event.Order)
	}
	mark(t, s.Outbox, all[0].ID) // claimed by Add
	awaitFree(t, s.Outbox, all[1].ID, all[2].ID)
	mark(t, s.Outbox, all[1].ID) // claimed by Claim
	awaitFree(t, s.Outbox, all[2].ID)
	mark(t, s.Other, all[2].ID) // claimed by another
	checkOutbox(t, s)
	checkOutbox(t, s) // and still
}

func markFree(t testing.TB, s Store) {
	all := events(t, 1, 3)
	for _, event := range all {
		addAll(t, s, event.Order)
	}
	waitOut(s.Lease)
	mark(t, s.Other, eventIDs(all)...)
	checkOutbox(t, s)
	checkOutbox(t, s)
}

func markMany(t testing.TB, s Store) {
	all := orders(t, 1, 300)
	addAll(t, s, all...)
	mark(t, s.Outbox, eventIDs(created(all))...)
	checkOutbox(t, s)
}

func markNoOther(t testing.TB, s Store) {
	all := orders(t, 1, 5)
	addAll(t, s, all...)
	mark(t, s.Outbox)
	mark(t, s.Outbox, all[1].Created().ID, all[3].Created().ID)
	checkOutbox(t, s, created([]domain.Order{all[0], all[2], all[4]})...)
}

func markUnknown(t testing.TB, s Store) {
	all := events(t, 1, 2)
	addAll(t, s, all[0].Order, all[1].Order)
	unknown := []domain.EventID{order(t, 3).Created().ID, "", "no event's id", domain.EventID(all[0].Order.ID), all[0].ID + "-2"}
	mark(t, s.Outbox, unknown...)
	mark(t, s.Outbox, append(unknown, all[1].ID)...)
	checkOutbox(t, s, all[0])
}

func markRepeated(t testing.TB, s Store) {
	all := events(t, 1, 2)
	addAll(t, s, all[0].Order, all[1].Order)
	for range 2 {
		mark(t, s.Outbox, all[0].ID, all[0].ID)
		mark(t, s.Other, all[0].ID)
	}
	checkOutbox(t, s, all[1])
}

func markLeavesOrder(t testing.TB, s Store) {
	want := order(t, 1)
	addAll(t, s, want)
	mark(t, s.Outbox, want.Created().ID)
	checkKept(t, s, want)
	checkList(t, s, ports.OrderQuery{Limit: 10}, want)
}

func markEnded(t testing.TB, s Store) {
	want := order(t, 1).Created()
	addAll(t, s, want.Order)
	checkEnded(t, "MarkPublished", func(ctx context.Context) error { return s.Outbox.MarkPublished(ctx, want.ID) })
	checkOutbox(t, s, want)
}

func markSlices(t testing.TB, s Store) {
	all := events(t, 1, 2)
	addAll(t, s, all[0].Order, all[1].Order)
	ids := []domain.EventID{all[0].ID}
	mark(t, s.Outbox, ids...)
	ids[0] = all[1].ID
	time.Sleep(quiet)
	checkOutbox(t, s, all[1])
}
