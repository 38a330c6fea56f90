package main

import (
	"slices"
	"strings"
	"time"

	"example.com/orderflow/services/cmd/proof/harness"
)

// claimLag bounds the answer to a claim. The notifier sends at once then.
const claimLag = 10 * time.Second

// killWindow says which repeats a notifier's kill excuses.
type killWindow struct {
	notifiers []string // the processes that notify

	// takeOver is the least time after which a notifier sends what a killed one had
	// claimed.
	takeOver time.Duration

	// recording bounds a notifier's attempts to record what it has sent.
	recording time.Duration
}

// serversWindow is that of services on servers: other processes first miss several of a
// killed one's signs of life.
var serversWindow = killWindow{names(programNotification), 5 * time.Second, 30 * time.Second}

// account is all evidence, and what became of everything. The journal excuses repeats,
// and gets what breaks a promise.
type account struct {
	*journal
	killWindow
	requests []*request
	orders   []storedOrder
	records  []record
	sends    []send
	letters  []deadLetter
	poison   []string // bodies

	recorded  map[string]time.Time   // when the victim had recorded a notification as sent, by its key
	pickySent map[string][]time.Time // by event
	picky     bool                   // the processes have the channel
	strict    bool                   // no fault of the trial makes a process log an error

	since         time.Time                             // from which on each order concerns all channels
	earlier       backlog                               // what there was by then
	arrivals      map[string]map[string]harness.Arrival // by channel and id
	arrivalFaults map[string][]string                   // by channel

	figures
	channels map[string]*channelFigures

	lost     []time.Time // when the orders were placed that were lost, or whose notifications were
	repeated []time.Time // when notifications were sent that were sent again later
}

type figures struct {
	answered, notified, inWindow, repeats, parked int
}

// settle accounts for the evidence.
func (a *account) settle() {
	orders := make(map[string]storedOrder, len(a.orders))
	for _, o := range a.orders {
		orders[o.ID] = o
		if o.Outbox != nil {
			a.breaks(outboxEmpty, "%s", o.ID)
		}
	}
	a.settleRequests(orders)
	a.settleDeliveries(orders)
	a.settleChannels(orders)
	if a.picky {
		a.settlePicky(orders)
	}
	a.settlePoison()
}

// group groups those of the list that match by the key.
func group[T any](list []T, key func(T) string, matches ...func(T) bool) map[string][]T {
	groups := make(map[string][]T, len(list))
	for _, element := range list {
		if len(matches) == 0 || matches[0](element) {
			groups[key(element)] = append(groups[key(element)], element)
		}
	}
	return groups
}

func (a *account) settleRequests(orders map[string]storedOrder) {
	byProduct := group(a.orders, func(o storedOrder) string { return o.Product })
	for _, r := range a.requests {
		stored := byProduct[r.Product]
		delete(byProduct, r.Product)
		if len(stored) > 1 {
			a.breaks(onlyOneOrder, "%s: %v", r.Product, stored)
		}
		if r.leaving && len(r.answers) == 0 && len(stored) > 0 {
			a.breaks(acceptedAnswered, "%s: %v", r.Product, stored)
		}
		if len(r.answers) > 0 {
			a.answered++
		}
		for _, got := range r.answers {
			o, there := orders[got.ID]
			asked := r.Order
			asked.ID, asked.CreatedAt = got.ID, got.CreatedAt
			if !there || !o.is(asked) || !got.is(asked) {
				a.lost = append(a.lost, got.CreatedAt)
				a.breaks(answeredIsStored, "asked for %+v, answered %+v, stored (%v) %+v", asked, got, there, o)
			}
		}
	}
	for product, stored := range byProduct {
		a.breaks(storedWasAsked, "%q: %v", product, stored)
	}
}

func (o Order) is(other Order) bool {
	same := o.CreatedAt.Equal(other.CreatedAt)
	o.CreatedAt = other.CreatedAt // == would compare locations too
	return same && o == other
}

func (a *account) settleDeliveries(orders map[string]storedOrder) {
	sends := group(a.sends, func(s send) string { return s.EventID })
	for _, s := range a.sends {
		o, there := orders[s.OrderID]
		if !there || s.UserID != o.UserID || s.Product != o.Product || s.Quantity != o.Quantity {
			a.breaks(sentAsStored, "sent %+v, stored %+v", s, o)
		}
	}
	records := group(a.records, func(r record) string { return r.OrderID }, func(r record) bool { return r.ID.Recipient == "" && r.ID.Channel != harness.Picky })
	for id, recorded := range records {
		if _, there := orders[id]; !there || len(recorded) > 1 {
			a.breaks(recordedOnce, "order %s (stored: %v) has %d", id, there, len(recorded))
		}
	}
	for id, o := range orders {
		event := eventOf(id)
		sent, recorded := sends[event], records[id]
		if len(sent) == 0 {
			a.lost = append(a.lost, o.CreatedAt)
			a.breaks(storedIsNotified, "%s was not sent", id)
			continue
		}
		a.notified++
		if len(recorded) == 0 {
			a.breaks(recordedOnce, "%s was sent, but not recorded", id)
			continue
		}
		r := recorded[0]
		if r.ID.EventID != event {
			a.breaks(recordedOnce, "%s has event %s on record", id, r.ID.EventID)
		}
		if r.Attempt != 1 { // the log channel never fails
			a.breaks(onlyFirstAttempts, "%s: sent at attempt %d", event, r.Attempt)
		}
		slices.SortFunc(sent, func(x, y send) int { return x.Time.Compare(y.Time) })
		a.settleRepeats(event, sent, r.SentAt)
	}
}

func eventOf(order string) string { return order + "-created" }

// settleRepeats judges the sends of an event, oldest first. The recorded send is the
// last one that was not after the record, whose time is cut to the millisecond.
//
// Another send is in the window if its notifier could not record it, because it was
// killed or lost its store. Only a notifier that waited for its store may send after
// the record.
func (a *account) settleRepeats(event string, sent []send, recorded time.Time) {
	a.repeats += len(sent) - 1
	latest := recorded.Add(time.Millisecond)
	kept := -1 // index of the recorded send
	for kept+1 < len(sent) && !sent[kept+1].Time.After(latest) {
		kept++
	}
	if kept < 0 {
		a.breaks(recordedAfterSent, "%s: recorded at %v, sent at %v", event, recorded, sent[0].Time)
		kept = 0
	}
	judge := func(s send, inWindow bool) {
		a.repeated = append(a.repeated, s.Time)
		if inWindow && !a.hadRecorded(event+".log.", sent[len(sent)-1].Time) {
			a.inWindow++
			return
		}
		a.breaks(onceOutsideWindow, "%s: sent by %s at %v, recorded at %v; all sends: %v", event, s.process, s.Time, recorded, sent)
	}
	for i, s := range sent[:kept] {
		end := s.Time.Add(a.recording)
		wasKilled := a.disturbed(s.Time, end, killed(s.process)) && sent[i+1].Time.Sub(s.Time) >= a.takeOver
		judge(s, wasKilled || a.lostStore(s, s.Time, end))
	}
	for _, s := range sent[kept+1:] {
		judge(s, a.lostStore(s, s.Time.Add(-claimLag), s.Time))
	}
}

// kills returns the scopes of the notifiers' kills.
func (w killWindow) kills() (scopes []string) {
	for _, name := range w.notifiers {
		scopes = append(scopes, killed(name))
	}
	return scopes
}

// hadRecorded reports whether the notification with this key was recorded as sent before
// the time.
func (a *account) hadRecorded(key string, sent time.Time) bool {
	at, known := a.recorded[key]
	return known && at.Before(sent)
}

func (a *account) lostStore(s send, from, to time.Time) bool {
	return a.disturbed(from, to, linkName(s.process, serverStore), serverStore)
}

// notParked returns the poison bodies that are no dead letters.
func (a *account) notParked() []string {
	parked := group(a.letters, func(l deadLetter) string { return l.Body })
	return slices.DeleteFunc(slices.Clone(a.poison), func(body string) bool { return parked[body] != nil })
}

func (a *account) settlePoison() {
	for _, l := range a.letters {
		if !isPoison(l.Body) && !(a.picky && strings.HasSuffix(l.ID, "."+harness.Picky)) {
			a.breaks(onlyPoisonParked, "%s: %s: %.300q", l.ID, l.Reason, l.Body)
		}
	}
	lost := a.notParked()
	a.parked = len(a.poison) - len(lost)
	for _, body := range lost {
		a.breaks(poisonParked, "%q", body)
	}
}
