package main

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestParseTrap(t *testing.T) {
	for text, ok := range map[string]bool{
		"": true, "Add:before:1": true, "Claim events:after:20": true, "Send:during:3": true,
		"Add": false, "Add:before": false, "Add:before:0": false, "Add:before:-1": false, "Add:at:1": false, "Add:before:x": false, "Add:before:1:2": false,
	} {
		if _, err := parseTrap(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// The trap kills once, at the numbered call to its place and nowhere else.
func TestTrap(t *testing.T) {
	// Each letter is an event: b calls the method, e ends a call that had something to do, n one
	// that had not, o calls another method.
	tests := []struct {
		trap, calls string
		killedAfter int // events; 0: never
	}{
		{"Add:before:1", "bebe", 1},
		{"Add:before:2", "oobebe", 5},
		{"Add:after:1", "bebe", 2},
		{"Add:after:2", "bebnbe", 6},
		{"Add:after:1", "bnbn", 0},
		{"Add:during:1", "bebe", 1},
		{"Add:during:2", "obebe", 4},
		{"Add:before:3", "bebeoo", 0},
		{"", "bebe", 0},
	}
	for _, tt := range tests {
		t.Run(tt.trap+" "+tt.calls, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				trap, err := parseTrap(tt.trap)
				if err != nil {
					t.Fatal(err)
				}
				kills, now, killedAfter := 0, 0, 0
				if trap != nil {
					trap.kill = func() { kills++; killedAfter = now }
				}
				done := func(bool) {}
				for i, what := range tt.calls {
					now = i + 1
					switch what {
					case 'b':
						done = trap.call("Add")
					case 'o':
						trap.call("Publish")(true)
					default:
						done(what == 'e')
					}
					time.Sleep(duringTime) // in virtual time
					synctest.Wait()
				}
				if killedAfter != tt.killedAfter || kills > 1 {
					t.Errorf("killed %d times, after event %d, want %d", kills, killedAfter, tt.killedAfter)
				}
			})
		})
	}
}
