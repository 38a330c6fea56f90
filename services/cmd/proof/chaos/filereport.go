package main

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// notOfFiles are the promises that no part of the scenario tries.
var notOfFiles = []promise{catchesUpInTime, drainsHeld, slowsNone, nothingLeaks, faultsMade, boundariesMet, acceptedAnswered}

// reportFile prints the figures and the promises, and reports whether all held.
func (t *fileTrial) reportFile(out io.Writer) (held bool) {
	p := printer{out}
	if t.hasPicky() {
		p.section(fmt.Sprintf("kills, seed %d", t.Seed), t.placeRows()...)
	} else {
		p.section(fmt.Sprintf("faults, seed %d", t.Seed), t.madeRows()...)
	}
	p.section("orders", append(t.orderRows(), row{"lost", len(t.account.lost)})...)
	for _, channel := range channels {
		p.section("notifications by "+channel, t.channelRows(channel)...)
	}
	return t.reportPromises(p, func(line promise) (tried bool) {
		switch line {
		case pickySettled, placesMet, poisonParked:
			return t.hasPicky()
		}
		return !slices.Contains(notOfFiles, line)
	})
}

// placeRows returns for each place how often the victim was killed there, and what was
// lost of these lives' orders, and repeated of their notifications.
func (t *fileTrial) placeRows() (rows []row) {
	within := func(l life, at time.Time) bool { return !at.Before(l.from) && at.Before(l.to) }
	count := func(place place, times []time.Time) (n int) {
		for _, l := range t.lives {
			if l.place.String() == place.String() {
				for _, at := range times {
					if within(l, at) {
						n++
					}
				}
			}
		}
		return n
	}
	for _, place := range places() {
		kills := t.made[place.String()]
		if kills == 0 {
			t.breaks(placesMet, "%v", place)
		}
		rows = append(rows, row{place.String(), fmt.Sprintf("%3d times, %d lost, %d repeated", kills, count(place, t.account.lost), count(place, t.account.repeated))})
	}
	return rows
}
