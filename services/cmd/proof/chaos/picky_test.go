package main

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/services/cmd/proof/harness"
)

// rejected is the evidence of a good run with an order for each mood of the channel
// picky: it accepts 0 and d, and rejects e and f.
func rejected() (a *account, ids map[string]string) {
	a = &account{
		journal: disturbedAtNoon(), killWindow: killWindow{notifiers: []string{"killed"}, recording: time.Second},
		pickySent: make(map[string][]time.Time), recorded: make(map[string]time.Time), picky: true,
	}
	ids = make(map[string]string)
	for _, last := range []string{"0", "d", "e", "f"} {
		id := fmt.Sprintf("00000000-0000-0000-0000-00000000000%s", last)
		ids[last] = id
		a.orders = append(a.orders, storedOrder{Order: Order{ID: id}})
		r := record{OrderID: id}
		r.ID.EventID, r.ID.Channel = eventOf(id), harness.Picky
		if last == "e" || last == "f" {
			r.State = "dead"
			a.letters = append(a.letters, deadLetter{ID: eventOf(id) + "." + harness.Picky})
		} else {
			a.pickySent[eventOf(id)] = []time.Time{noon.Add(-time.Millisecond)}
			a.recorded[eventOf(id)+"."+harness.Picky+"."] = noon.Add(time.Minute)
		}
		a.records = append(a.records, r)
	}
	return a, ids
}

func TestPicky(t *testing.T) {
	again := func(first, second time.Duration) func(*account, map[string]string) {
		return func(a *account, ids map[string]string) {
			a.pickySent[eventOf(ids["0"])] = []time.Time{noon.Add(second), noon.Add(first)}
		}
	}
	tests := []struct {
		name     string
		change   func(a *account, ids map[string]string)
		breaks   []promise
		lost     int
		repeated int
	}{
		{"nothing wrong", func(*account, map[string]string) {}, nil, 0, 0},
		{"a record lost", func(a *account, _ map[string]string) { a.records = a.records[1:] }, []promise{pickySettled}, 1, 0},
		{"a dead letter lost", func(a *account, _ map[string]string) { a.letters = a.letters[1:] }, []promise{pickySettled}, 1, 0},
		{"a dead letter of an accepted one", func(a *account, ids map[string]string) {
			a.letters = append(a.letters, deadLetter{ID: eventOf(ids["d"]) + "." + harness.Picky})
		}, []promise{pickySettled}, 1, 0},
		{"dead, but accepted", func(a *account, _ map[string]string) { a.records[0].State = "dead" }, []promise{pickySettled}, 1, 0},
		{"rejected, but sent", func(a *account, ids map[string]string) {
			a.pickySent[eventOf(ids["f"])] = []time.Time{noon}
		}, []promise{pickySettled}, 0, 0},
		{"never sent", func(a *account, ids map[string]string) { delete(a.pickySent, eventOf(ids["0"])) }, []promise{pickySettled}, 0, 0},
		{"repeated after a kill", again(-time.Millisecond, time.Second), nil, 0, 1},
		{"repeated after a kill, though it was recorded", again(-time.Millisecond, 2*time.Minute), []promise{onceOutsideWindow}, 0, 1},
		{"repeated without a kill", again(time.Second, 2*time.Second), []promise{onceOutsideWindow}, 0, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, ids := rejected()
			tt.change(a, ids)
			orders := make(map[string]storedOrder)
			for _, o := range a.orders {
				orders[o.ID] = o
			}
			a.settlePicky(orders)
			a.settlePoison()
			var got []promise
			for _, p := range promises {
				if len(a.breaches(p)) > 0 {
					got = append(got, p)
				}
			}
			if diff := cmp.Diff(tt.breaks, got); diff != "" {
				t.Errorf("broken promises (-want +got):\n%s\n%v", diff, a.broken)
			}
			if len(a.lost) != tt.lost || len(a.repeated) != tt.repeated {
				t.Errorf("%d lost, %d repeated, want %d and %d", len(a.lost), len(a.repeated), tt.lost, tt.repeated)
			}
		})
	}
}

// What the victim had recorded, its kill does not excuse.
func TestRecordedIsNotRepeated(t *testing.T) {
	for _, recorded := range []bool{false, true} {
		a := good()
		a.killWindow = killWindow{notifiers: []string{"killed"}, recording: time.Second}
		a.sends[0] = a.sendOf(0, "killed", noon.Add(-time.Millisecond))
		a.sends = append(a.sends, a.sendOf(0, "killed", noon.Add(time.Millisecond)))
		a.records[0].SentAt = noon.Add(time.Millisecond)
		b := reached()
		b.killWindow = a.killWindow
		key := recipients[0].key(orderID(0))
		b.arrivals[harness.Email][key] = harness.Arrival{To: recipients[0].address(userID(0)), Times: []time.Time{noon.Add(-time.Millisecond), noon.Add(time.Second)}}
		if recorded {
			a.recorded = map[string]time.Time{eventOf(orderID(0)) + ".log.": noon}
			b.recorded = map[string]time.Time{key: noon}
		}
		a.settle()
		b.settleAllChannels()
		if got := len(a.breaches(onceOutsideWindow)); (got > 0) != recorded {
			t.Errorf("recorded %v: by the log: %v", recorded, a.broken)
		}
		if got := len(b.breaches(promisesOf[harness.Email].once)); (got > 0) != recorded {
			t.Errorf("recorded %v: by mail: %v", recorded, b.broken)
		}
		if len(a.repeated) != 1 || len(b.repeated) != 1 {
			t.Errorf("recorded %v: repeated %v and %v", recorded, a.repeated, b.repeated)
		}
	}
}

// Only a trial without servers is strict about errors in the logs.
func TestErrorsInLogs(t *testing.T) {
	lines := map[string]bool{
		`{"level":"ERROR","msg":"the outbox can't be swept"}`:                      true,
		`{"level":"WARN","msg":"waiting","error":"claim: unavailable: disk full"}`: true,
		`{"level":"WARN","msg":"attempt failed"}`:                                  false,
		`{"level":"ERROR","msg":"x","error":"` + harness.RefusedOnPurpose + `"}`:   false,
	}
	for _, strict := range []bool{true, false} {
		for line, isError := range lines {
			a := account{journal: &journal{log: io.Discard}, strict: strict}
			a.readLog("orderflow-1.0001.log", line+"\n")
			if got := len(a.breaches(logsNoError)) > 0; got != (isError && strict) {
				t.Errorf("strict %v: %s: found %v", strict, line, got)
			}
		}
	}
}

func TestReadVictim(t *testing.T) {
	const lines = `{"time":"2026-11-23T12:00:01Z","msg":"recorded","notification":"1-created.log."}
{"time":"2026-11-23T12:00:00Z","msg":"recorded","notification":"1-created.log."}
{"time":"2026-11-23T12:00:00Z","msg":"picky has sent it","event_id":"1-created"}
{"time":"2026-11-23T12:00:00Z","msg":"poison kept","body":"poison 1 1"}
{"time":"2026-11-23T12:00:00Z","msg":"other"}
{"time":"2026-11-23T12:00:00Z","msg":"poison kept","bo`
	a := account{journal: &journal{log: io.Discard}, recorded: make(map[string]time.Time), pickySent: make(map[string][]time.Time)}
	a.readLog("victim-1.0001.log", lines)
	if !a.recorded["1-created.log."].Equal(noon) || len(a.pickySent["1-created"]) != 1 || !cmp.Equal(a.poison, []string{"poison 1 1"}) || len(a.broken) > 0 {
		t.Errorf("recorded %v, sent %v, poison %q, broken %v", a.recorded, a.pickySent, a.poison, a.broken)
	}
}
