package main

import (
	"slices"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/services/cmd/proof/harness"
)

// settlePicky accounts for the channel that refuses some notifications. What it rejects
// becomes a dead letter that waits, however often it is replayed.
func (a *account) settlePicky(orders map[string]storedOrder) {
	records := group(a.records, func(r record) string { return r.OrderID }, func(r record) bool { return r.ID.Channel == harness.Picky })
	letters := group(a.letters, func(l deadLetter) string { return l.ID })
	for id, o := range orders {
		event, mood := eventOf(id), harness.MoodOf(domain.OrderID(id))
		rejected := mood == harness.Rejects || mood == harness.RejectsAt2
		state := map[bool]string{true: "dead"}[rejected]
		if r := records[id]; len(r) != 1 || r[0].State != state {
			a.lost = append(a.lost, o.CreatedAt)
			a.breaks(pickySettled, "%s: %+v; want one with the state %q", id, r, state)
		}
		if got := len(letters[event+"."+harness.Picky]); rejected != (got == 1) {
			a.lost = append(a.lost, o.CreatedAt)
			a.breaks(pickySettled, "%s, rejected: %v; it has %d dead letters", id, rejected, got)
		}
		sent := slices.Clone(a.pickySent[event])
		if rejected != (len(sent) == 0) {
			a.breaks(pickySettled, "%s, rejected: %v; sent at %v", id, rejected, sent)
		}
		slices.SortFunc(sent, time.Time.Compare)
		for i := range sent[:max(0, len(sent)-1)] {
			a.repeated = append(a.repeated, sent[i])
			a.repeats++
			if a.hadRecorded(event+"."+harness.Picky+".", sent[i+1]) || !a.disturbed(sent[i], sent[i].Add(a.recording), a.kills()...) {
				a.breaks(onceOutsideWindow, "%s by picky: sent at %v", event, sent)
				continue
			}
			a.inWindow++
		}
	}
}
