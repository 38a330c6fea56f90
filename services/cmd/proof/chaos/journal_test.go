package main

import (
	"io"
	"testing"
	"testing/synctest"
	"time"
)

func TestJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
		line := &journal{log: io.Discard}
		time.Sleep(10 * time.Second)
		over := line.begin("store", "stop")
		time.Sleep(10 * time.Second)
		over()
		line.begin("order-1", "stop") // and never over

		for _, tt := range []struct {
			from, to         int
			scope            string
			disturbed, began bool
		}{
			{0, 9, "store", false, false},
			{0, 10, "store", true, true},
			{15, 16, "store", true, false},
			{20, 30, "store", true, false},
			{21, 30, "store", false, false},
			{12, 13, "broker", false, false},
			{0, 19, "order-1", false, false},
			{0, 20, "order-1", true, true},
			{99, 100, "order-1", true, false},
		} {
			if got := line.disturbed(at(tt.from), at(tt.to), "nothing", tt.scope); got != tt.disturbed {
				t.Errorf("%s disturbed from %d to %d: %v", tt.scope, tt.from, tt.to, got)
			}
			if line.began(at(tt.from), at(tt.to), tt.scope, "something else") {
				t.Errorf("%s: something else began from %d to %d", tt.scope, tt.from, tt.to)
			}
			if got := line.began(at(tt.from), at(tt.to), tt.scope, "stop"); got != tt.began {
				t.Errorf("%s began from %d to %d: %v", tt.scope, tt.from, tt.to, got)
			}
			if got := line.lasted(at(tt.from), at(tt.to), tt.scope, "something else", "stop"); got != tt.disturbed {
				t.Errorf("%s was stopped from %d to %d: %v", tt.scope, tt.from, tt.to, got)
			}
			if line.lasted(at(tt.from), at(tt.to), tt.scope, "something else") {
				t.Errorf("%s: something else lasted from %d to %d", tt.scope, tt.from, tt.to)
			}
		}
	})
}
