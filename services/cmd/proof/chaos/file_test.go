package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/ncruces/go-sqlite3"

	"example.com/orderflow/adapters/sqlite"
	"example.com/orderflow/domain"
)

// newFile returns a trial whose file has one order, which was published and listed.
func newFile(t *testing.T) *fileTrial {
	t.Helper()
	path := filepath.Join(t.TempDir(), "orderflow.db")
	store, err := sqlite.Open(t.Context(), "sqlite:"+path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	order, err := domain.NewOrder(domain.OrderID(orderID(1)), "u", "p", 1, noon)
	if err == nil {
		err = store.Orders().Add(t.Context(), order, domain.Origin{})
	}
	if err == nil {
		err = store.Orders().MarkPublished(t.Context(), order.Created().ID)
	}
	if err == nil {
		err = store.Close(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	f := &fileTrial{trial: &trial{journal: &journal{log: io.Discard}}, data: path}
	f.account.orders = []storedOrder{{}}
	return f
}

func TestCheckFile(t *testing.T) {
	change := func(sql string) func(*testing.T, *fileTrial) {
		return func(t *testing.T, f *fileTrial) {
			conn, err := sqlite3.Open(f.data)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.Exec(sql); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := []struct {
		name   string
		change func(*testing.T, *fileTrial)
		breaks []promise
	}{
		{"nothing wrong", func(*testing.T, *fileTrial) {}, nil},
		{"a record removed", change("DELETE FROM orders"), []promise{fileIsSound, listsAll}},
		{"an order that the list does not have", func(_ *testing.T, f *fileTrial) { f.account.orders = nil }, []promise{listsAll}},
		{"an event left in the outbox", change("INSERT INTO outbox (order_id, free_at) VALUES ('1', 0)"), []promise{outboxEmpty}},
		{"a message left in a queue", change("INSERT INTO dead_letter_queue (letter_id, subscription, properties, body, failures, due) VALUES ('1', '', '', x'', '', 0)"), []promise{queuesEmpty}},
		{"a claim left", change("INSERT INTO delivery_claims (event_id, channel, recipient, token, owner, ends) VALUES ('1', '', '', 1, 1, 0)"), []promise{fileIsSound}},
		{"an owner left", change("INSERT INTO owners (id, started_at) VALUES (1, 0)"), []promise{fileIsSound}},
		{"a lock file left", func(t *testing.T, f *fileTrial) {
			if err := os.WriteFile(f.data+"-owner-1", nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, []promise{fileIsSound}},
		{"damaged", func(t *testing.T, f *fileTrial) {
			file, err := os.OpenFile(f.data, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			if _, err := file.WriteAt([]byte(strings.Repeat("x", 4096)), 2*4096); err != nil {
				t.Fatal(err)
			}
		}, []promise{fileIsSound}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFile(t)
			tt.change(t, f)
			f.checkFile()
			var got []promise
			for _, p := range promises {
				if len(f.breaches(p)) > 0 {
					got = append(got, p)
				}
			}
			if diff := cmp.Diff(tt.breaks, got, cmp.Transformer("sorted", sortedPromises)); diff != "" {
				t.Errorf("broken promises (-want +got):\n%s\n%v", diff, f.broken)
			}
		})
	}
}

func sortedPromises(all []promise) map[promise]bool {
	set := make(map[promise]bool)
	for _, p := range all {
		set[p] = true
	}
	return set
}

// Each place has its row, with what its lives have lost and repeated. One at which
// nothing was killed breaks a promise.
func TestPlaceRows(t *testing.T) {
	all := places()
	f := &fileTrial{trial: &trial{journal: &journal{log: io.Discard}, made: make(map[string]int)}}
	for i, p := range all[1:] {
		from := noon.Add(time.Duration(i) * time.Minute)
		f.lives = append(f.lives, life{p, from, from.Add(time.Minute)})
		f.made[p.String()] = 1
	}
	f.account.lost, f.account.repeated = []time.Time{noon}, []time.Time{noon.Add(time.Second), noon.Add(time.Minute)}
	rows := f.placeRows()
	want := map[string]any{all[0].String(): "  0 times, 0 lost, 0 repeated", all[1].String(): "  1 times, 1 lost, 1 repeated", all[2].String(): "  1 times, 0 lost, 1 repeated"}
	for _, row := range rows[:3] {
		if row.value != want[row.name] {
			t.Errorf("%s: %q, want %q", row.name, row.value, want[row.name])
		}
	}
	if got := f.breaches(placesMet); len(rows) != len(all) || !cmp.Equal(got, []string{all[0].String()}) {
		t.Errorf("%d rows of %d; not met: %q", len(rows), len(all), got)
	}
}
