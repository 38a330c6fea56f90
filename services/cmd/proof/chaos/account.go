package main

import (
	"slices"
	"syscall"
	"time"
)

const (
	// takeOver is the least time after which a notifier sends what a killed one had
	// claimed: other processes first miss several of its signs of life.
	takeOver = 5 * time.Second

	// claimLag bounds the answer to a claim. The notifier sends at once then.
	claimLag = 10 * time.Second

	// handlerTime bounds a notifier's attempts to record what it has sent.
	handlerTime = 30 * time.Second
)

// account counts what became of everything.
type account struct {
	answered, stored, notified int
	inWindow, repeats          int
	parked                     int

	journal *journal
}

// take accounts for the evidence. The journal excuses repeats, and gets what breaks a
// promise.
func take(e *evidence, journal *journal) *account {
	a := &account{journal: journal, stored: len(e.orders)}
	orders := a.takeOrders(e)
	a.takeDeliveries(e, orders)
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
			a.journal.breaks(outboxEmpty, "%s", o.ID)
		}
	}
	for _, r := range e.requests {
		ids := byProduct[r.Product]
		delete(byProduct, r.Product)
		if len(ids) > 1 {
			a.journal.breaks(onlyOneOrder, "%s: %v", r.Product, ids)
		}
		if r.leaving && r.unknown && len(ids) > 0 {
			a.journal.breaks(acceptedAnswered, "%s: %v", r.Product, ids)
		}
		if len(r.Answers) > 0 {
			a.answered++
		}
		for _, got := range r.Answers {
			o, there := orders[got.ID]
			if !there {
				a.journal.breaks(answeredIsStored, "%s of %s is lost", got.ID, r.Product)
				continue
			}
			asked := answer{got.ID, r.UserID, r.Product, r.Quantity, got.CreatedAt}
			stored := answer{o.ID, o.UserID, o.Product, o.Quantity, o.CreatedAt}
			if !stored.is(asked) || !got.is(asked) {
				a.journal.breaks(answeredIsStored, "%s of %s: asked for %+v, answered %+v, stored %+v", got.ID, r.Product, *r, got, o)
			}
		}
	}
	for product, ids := range byProduct {
		a.journal.breaks(storedWasAsked, "%q: %v", product, ids)
	}
	return orders
}

func (x answer) is(y answer) bool {
	same := x.CreatedAt.Equal(y.CreatedAt)
	x.CreatedAt = y.CreatedAt // == would compare locations too
	return same && x == y
}

func (a *account) takeDeliveries(e *evidence, orders map[string]storedOrder) {
	sends := make(map[string][]send, len(orders)) // by event
	for _, s := range e.sends {
		sends[s.EventID] = append(sends[s.EventID], s)
		o, there := orders[s.OrderID]
		if !there || s.UserID != o.UserID || s.Product != o.Product || s.Quantity != o.Quantity {
			a.journal.breaks(sentAsStored, "sent %+v, stored %+v", s, o)
		}
	}
	records := make(map[string][]record, len(orders)) // by order
	for _, r := range e.records {
		records[r.OrderID] = append(records[r.OrderID], r)
	}
	for id, recorded := range records {
		if _, there := orders[id]; !there || len(recorded) > 1 {
			a.journal.breaks(recordedOnce, "order %s (stored: %v) has %d", id, there, len(recorded))
		}
	}
	for id := range orders {
		event := eventOf(id)
		sent := sends[event]
		if len(sent) == 0 {
			a.journal.breaks(storedIsNotified, "%s was not sent", id)
			continue
		}
		a.notified++
		if len(records[id]) == 0 {
			a.journal.breaks(recordedOnce, "%s was sent, but not recorded", id)
			continue
		}
		r := records[id][0]
		if r.ID.EventID != event {
			a.journal.breaks(recordedOnce, "%s has event %s on record", id, r.ID.EventID)
		}
		if r.Attempt != 1 { // the log channel never fails
			a.journal.breaks(onlyFirstAttempts, "%s: sent at attempt %d", event, r.Attempt)
		}
		slices.SortFunc(sent, func(x, y send) int { return x.Time.Compare(y.Time) })
		a.takeRepeats(event, sent, r.SentAt)
	}
}

func eventOf(order string) string { return order + "-created" }

// takeRepeats judges the sends of an event, oldest first. The recorded send is the
// last one that was not after the record, whose time is cut to the millisecond.
//
// Another send is in the window if its notifier could not record it, because it was
// killed or lost its store. Only a notifier that waited for its store may send after
// the record.
func (a *account) takeRepeats(event string, sent []send, recorded time.Time) {
	latest := recorded.Add(time.Millisecond)
	first, late := sent, []send(nil) // until the record, and after it
	if i := slices.IndexFunc(sent, func(s send) bool { return s.Time.After(latest) }); i >= 0 {
		first, late = sent[:i], sent[i:]
	}
	if len(first) == 0 {
		a.journal.breaks(recordedAfterSent, "%s: recorded at %v, sent at %v", event, recorded, sent[0].Time)
		first, late = sent[:1], sent[1:]
	}
	a.repeats += len(sent) - 1
	judge := func(s send, inWindow bool) {
		if inWindow {
			a.inWindow++
			return
		}
		a.journal.breaks(onceOutsideWindow, "%s: sent by %s at %v, recorded at %v; all sends: %v", event, s.process, s.Time, recorded, sent)
	}
	for i, s := range first[:len(first)-1] {
		end := s.Time.Add(handlerTime)
		killed := a.journal.began(s.Time, end, s.process, syscall.SIGKILL.String()) && first[i+1].Time.Sub(s.Time) >= takeOver
		judge(s, killed || a.lostStore(s, s.Time, end))
	}
	for _, s := range late {
		judge(s, a.lostStore(s, s.Time.Add(-claimLag), s.Time))
	}
}

func (a *account) lostStore(s send, from, to time.Time) bool {
	return a.journal.disturbed(from, to, linkName(s.process, serverStore), serverStore)
}

func (a *account) takePoison(e *evidence) {
	parked := make(map[string]bool)
	for _, l := range e.letters {
		parked[l.Body] = true
		if !isPoison(l.Body) {
			a.journal.breaks(onlyPoisonParked, "%s: %s: %.300q", l.ID, l.Reason, l.Body)
		}
	}
	for _, body := range e.poison {
		if parked[body] {
			a.parked++
		} else {
			a.journal.breaks(poisonParked, "%q", body)
		}
	}
}
