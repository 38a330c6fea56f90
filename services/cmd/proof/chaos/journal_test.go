package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
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
		over := line.begin("stop", "store", "stopped")
		time.Sleep(10 * time.Second)
		over()
		line.begin("stop", "order-1") // and never over

		for _, tt := range []struct {
			from, to  int
			scope     string
			disturbed bool
		}{
			{0, 9, "store", false},
			{0, 10, "store", true},
			{15, 16, "store", true},
			{15, 16, "stopped", true},
			{20, 30, "store", true},
			{21, 30, "store", false},
			{21, 30, "stopped", false},
			{12, 13, "broker", false},
			{12, 13, "stop", false},
			{0, 19, "order-1", false},
			{0, 20, "order-1", true},
			{99, 100, "order-1", true},
		} {
			if got := line.disturbed(at(tt.from), at(tt.to), "nothing", tt.scope); got != tt.disturbed {
				t.Errorf("%s disturbed from %d to %d: %v", tt.scope, tt.from, tt.to, got)
			}
		}
	})
}

// The last lines of the output name each broken promise once, and timeline.log each cause.
func TestBroken(t *testing.T) {
	var log, out bytes.Buffer
	j := &journal{log: &log}
	j.breaks(onlyOneOrder, "second\nof %d", 2)
	j.breaks(answeredIsStored, "first")
	j.breaks(onlyOneOrder, "third")
	j.writeBroken(&out)
	want := fmt.Sprintf("BROKEN: %s: first\nBROKEN: %s: second of 2\n", answeredIsStored, onlyOneOrder)
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", &out, want)
	}
	if n := strings.Count(log.String(), "BROKEN: "); n != 3 {
		t.Errorf("%d causes in the log, want 3:\n%s", n, &log)
	}
}
