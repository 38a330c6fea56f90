package porttest

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

const plenty = 1000 // a limit of Claim above the number of events in any clause

func claim(t testing.TB, outbox ports.Outbox, limit int) []domain.Event {
	t.Helper()
	events, err := outbox.Claim(bounded(t), limit)
	must(t, fmt.Sprintf("claim %d events", limit), err)
	return events
}

func mark(t testing.TB, outbox ports.Outbox, ids ...domain.EventID) {
	t.Helper()
	must(t, fmt.Sprintf("mark %d events published", len(ids)), outbox.MarkPublished(bounded(t), ids...))
}

func holds(events []domain.Event, id domain.EventID) bool {
	return slices.Contains(eventIDs(events), id)
}

// awaitFree claims until it has got each of the ids once, and returns every
// event that it got.
func awaitFree(t testing.TB, outbox ports.Outbox, ids ...domain.EventID) (got []domain.Event) {
	t.Helper()
	awaitEach(t, "Claim returns each event", ids, func() []domain.EventID {
		events := claim(t, outbox, plenty)
		got = append(got, events...)
		return eventIDs(events)
	})
	return got
}

// checkOutbox fails t unless the outbox holds exactly these events. It adds a
// witness, a claimed event, and claims until it gets it. By then all earlier claims
// have run out.
func checkOutbox(t testing.TB, s Store, want ...domain.Event) {
	t.Helper()
	witness := addWitness(t, s)
	missing := map[domain.EventID]domain.Event{}
	for _, event := range want {
		missing[event.ID] = event
	}
	for _, got := range awaitFree(t, s.Other, witness) {
		if i := slices.Index(eventIDs(want), got.ID); i >= 0 {
			checkEqual(t, "event "+string(got.ID)+" in the outbox", want[i], got)
			delete(missing, got.ID)
		} else if got.ID != witness {
			t.Errorf("the outbox holds event %s, which the clause does not expect", got.ID)
		}
	}
	for id := range missing {
		t.Errorf("the outbox does not hold event %s, which the clause expects", id)
	}
	mark(t, s.Outbox, witness)
}

var witnesses atomic.Int64

// addWitness adds an order that no clause uses.
func addWitness(t testing.TB, s Store) domain.EventID {
	t.Helper()
	witness := newOrder(1_000_000+int(witnesses.Add(1)), "witness", "witness", 1, epoch)
	must(t, "add order", s.Orders.Add(bounded(t), witness, originOf(witness)))
	return witness.Created().ID
}

func release(t testing.TB, s Store, at time.Time, ids ...domain.EventID) {
	t.Helper()
	must(t, fmt.Sprintf("release %d events", len(ids)), s.Outbox.Release(bounded(t), at, ids...))
}
