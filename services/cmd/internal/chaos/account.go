package main

import (
	"slices"
	"time"
)

// lease is how long a notifier's claim on a delivery lasts, and claimLag how
// long the answer to the claim may take; then it sends at once.
const (
	lease    = 45 * time.Second
	claimLag = 10 * time.Second

	// handlerTime is how long a notifier tries to record what it has sent.
	handlerTime = 30 * time.Second
)

// account is what has become of everything.
type account struct {
	answered, stored, notified int
	inWindow, repeats          int
	parked                     int

	ledger *ledger
}

// witness knows what befell a notifier between two times.
type witness struct {
	killed    func(process string, from, to time.Time) bool
	storeAway func(process string, from, to time.Time) bool // its store was out of reach
}

// take takes account of the evidence, and keeps in the ledger what breaks a
// promise.
func take(e *evidence, w witness, ledger *ledger) *account {
	a := &account{ledger: ledger, stored: len(e.orders)}
	orders := a.takeOrders(e)
	a.takeDeliveries(e, orders, w)
	a.takePoison(e)
	return a
}

func (a *account) takeOrders(e *evidence) (orders map[string]storedOrder) {
	orders = make(map[string]storedOrder, len(e.orders))
	byProduct := make(map[string][]string, len(e.orders))
	for _, o := range e.orders {
		orders[o.ID] = o
		byProduct[o.Product] = append(byProduct[o.Product], o.ID)
		if o.Outbox != nil {
			a.ledger.breaks(outboxEmpty, "%s", o.ID)
		}
	}
	for _, r := range e.requests {
		ids := byProduct[r.Product]
		delete(byProduct, r.Product)
		if len(ids) > 1 {
			a.ledger.breaks(onlyOneOrder, "%s: %v", r.Product, ids)
		}
		if r.leaving && r.unknown && len(ids) > 0 {
			a.ledger.breaks(acceptedAnswered, "%s: %v", r.Product, ids)
		}
		if len(r.Answers) > 0 {
			a.answered++
		}
		for _, answer := range r.Answers {
			o, there := orders[answer.ID]
			if !there {
				a.ledger.breaks(answeredIsStored, "%s of %s is lost", answer.ID, r.Product)
				continue
			}
			wanted := storedOrder{ID: answer.ID, UserID: r.UserID, Product: r.Product, Quantity: r.Quantity, CreatedAt: answer.CreatedAt}
			if !o.is(wanted) || answer.UserID != r.UserID || answer.Product != r.Product || answer.Quantity != r.Quantity {
				a.ledger.breaks(answeredIsStored, "%s of %s: asked for %+v, answered %+v, stored %+v", answer.ID, r.Product, *r, answer, o)
			}
		}
	}
	for product, ids := range byProduct {
		a.ledger.breaks(storedWasAsked, "%q: %v", product, ids)
	}
	return orders
}

func (o storedOrder) is(other storedOrder) bool {
	return o.ID == other.ID && o.UserID == other.UserID && o.Product == other.Product && o.Quantity == other.Quantity &&
		o.CreatedAt.Equal(other.CreatedAt)
}

func (a *account) takeDeliveries(e *evidence, orders map[string]storedOrder, w witness) {
	sends := make(map[string][]send, len(orders)) // by event
	for _, s := range e.sends {
		sends[s.EventID] = append(sends[s.EventID], s)
		o, there := orders[s.OrderID]
		if !there || s.UserID != o.UserID || s.Product != o.Product || s.Quantity != o.Quantity {
			a.ledger.breaks(sentAsStored, "sent %+v, stored %+v", s, o)
		}
	}
	records := make(map[string][]record, len(orders)) // by order
	for _, r := range e.records {
		records[r.OrderID] = append(records[r.OrderID], r)
	}
	for id, recorded := range records {
		if _, there := orders[id]; !there || len(recorded) > 1 {
			a.ledger.breaks(recordedOnce, "%s, which is stored: %v, has %d", id, there, len(recorded))
		}
	}
	for id := range orders {
		event := eventOf(id)
		sent := sends[event]
		slices.SortFunc(sent, func(x, y send) int { return x.Time.Compare(y.Time) })
		if len(sent) == 0 {
			a.ledger.breaks(storedIsNotified, "%s was not sent", id)
			continue
		}
		a.notified++
		if len(records[id]) == 0 {
			a.ledger.breaks(recordedOnce, "%s was sent, but that is not recorded", id)
			continue
		}
		r := records[id][0]
		if r.ID.EventID != event {
			a.ledger.breaks(recordedOnce, "%s has event %s on record", id, r.ID.EventID)
		}
		if r.Attempt != 1 { // the channel never fails
			a.ledger.breaks(onlyFirstAttempts, "%s: sent at attempt %d", event, r.Attempt)
		}
		a.takeRepeats(event, sent, r.SentAt, w)
	}
}

func eventOf(order string) string { return order + "-created" }

// takeRepeats looks at how often an event was sent, oldest first. The send that
// is on record is the last that was not after it; the record's time is cut to
// the millisecond.
//
// A repeat is in the window if the claim of the send before it had run out, and
// that one never was recorded: its notifier was killed, or lost its store. What is
// on record was recorded within handlerTime, before any claim on it ran out.
func (a *account) takeRepeats(event string, sent []send, recorded time.Time, w witness) {
	onRecord := func(i int) bool {
		latest := recorded.Add(time.Millisecond)
		return !sent[i].Time.After(latest) && (i+1 == len(sent) || sent[i+1].Time.After(latest))
	}
	if sent[0].Time.After(recorded.Add(time.Millisecond)) {
		a.ledger.breaks(recordedAfterSent, "%s: recorded at %v, sent at %v", event, recorded, sent[0].Time)
	}
	for i, repeat := range sent[1:] {
		before := sent[i]
		a.repeats++
		gap, end := repeat.Time.Sub(before.Time), before.Time.Add(handlerTime)
		late := !onRecord(i) && (w.storeAway(before.process, before.Time, end) || w.killed(before.process, before.Time, end))
		if gap >= lease-claimLag && late {
			a.inWindow++
			continue
		}
		a.ledger.breaks(onceOutsideWindow, "%s: sent by %s at %v, and by %s %v later; recorded at %v",
			event, before.process, before.Time, repeat.process, gap.Round(time.Millisecond), recorded)
	}
}

func (a *account) takePoison(e *evidence) {
	parked := make(map[string]bool)
	for _, l := range e.letters {
		parked[l.Body] = true
		if !isPoison(l.Body) {
			a.ledger.breaks(onlyPoisonParked, "%s: %s: %.300q", l.ID, l.Reason, l.Body)
		}
	}
	for _, body := range e.poison {
		if parked[body] {
			a.parked++
		} else {
			a.ledger.breaks(poisonParked, "%q", body)
		}
	}
}
