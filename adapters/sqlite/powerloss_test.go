package sqlite

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ncruces/go-sqlite3"
)

// The writers of a power loss test each insert the numbers from 0 on into a table, one
// after the other.
const powerWriters = 6

// trial describes one power loss.
type trial struct {
	seed        uint64
	synchronous string
	failSyncs   bool // some syncs fail before
	stores      int
}

// run writes until the power is lost, and returns what is wrong afterwards.
func (tr trial) run(t *testing.T) (faults []string) {
	t.Helper()
	random := rand.New(rand.NewPCG(tr.seed, 0))
	d, name := newDisk(t)
	path := filepath.Join(t.TempDir(), "orderflow.db")
	var stores []*Store
	for range tr.stores {
		s, err := Open(t.Context(), scheme+path, Options{vfs: name, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close(context.Background())
		stores = append(stores, s)
	}
	spoil(t, stores[0], "CREATE TABLE numbers (writer INTEGER, n INTEGER, filler BLOB, PRIMARY KEY (writer, n))")
	checkpointAt, durables := 1+random.IntN(100), random.Float64()/2
	for _, s := range stores {
		err := s.write(t.Context(), durable, func(tx *tx) error {
			tx.file.synchronous = tr.synchronous
			tx.checkpointAt = checkpointAt
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if tr.failSyncs {
		syncs := rand.New(rand.NewPCG(tr.seed, 1))
		d.failWith(func(op, suffix string) error {
			if op == "sync" && syncs.IntN(4) == 0 {
				return sqlite3.IOERR_FSYNC
			}
			return nil
		})
	}

	var acknowledged [powerWriters]atomic.Int64 // the numbers below it are on the disk
	var total atomic.Int64
	goal, reached := random.Int64N(150)+1, make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var writers sync.WaitGroup
	for w := range powerWriters {
		random := rand.New(rand.NewPCG(tr.seed, uint64(2+w)))
		writers.Go(func() {
			for n := int64(0); ctx.Err() == nil; n++ {
				d := durability(random.Float64() < durables)
				for ctx.Err() == nil {
					err := stores[w%len(stores)].write(ctx, d, func(tx *tx) error {
						_, err := tx.exec("INSERT INTO numbers VALUES (?, ?, zeroblob(?)) ON CONFLICT DO NOTHING", w, n, random.IntN(3000))
						return err
					})
					if err == nil {
						if d == durable {
							acknowledged[w].Store(n + 1)
						}
						if total.Add(1) == goal {
							close(reached)
						}
						break
					}
				}
			}
		})
	}
	<-reached
	var least [powerWriters]int64
	for w := range least {
		least[w] = acknowledged[w].Load()
	}
	folder := t.TempDir()
	if err := d.losePower(folder, random); err != nil {
		t.Fatal(err)
	}
	stop()
	writers.Wait()
	d.failWith(nil)

	s, err := Open(t.Context(), scheme+filepath.Join(folder, "orderflow.db"), Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return []string{fmt.Sprint("open: ", err)}
	}
	defer s.Close(context.Background())
	var numbers [powerWriters][]int64
	err = s.read(t.Context(), func(tx *tx) error {
		if err := tx.query(func(r row) bool {
			if text := r.ColumnText(0); text != "ok" {
				faults = append(faults, text)
			}
			return true
		}, "PRAGMA integrity_check"); err != nil {
			return err
		}
		return tx.query(func(r row) bool {
			w := r.ColumnInt(0)
			numbers[w] = append(numbers[w], r.ColumnInt64(1))
			return true
		}, "SELECT writer, n FROM numbers ORDER BY writer, n")
	})
	if err != nil {
		return append(faults, err.Error())
	}
	for w, got := range numbers {
		for i, n := range got {
			if n != int64(i) {
				faults = append(faults, fmt.Sprintf("writer %d: %d is lost, %d is not", w, i, n))
				break
			}
		}
		if int64(len(got)) < least[w] {
			faults = append(faults, fmt.Sprintf("writer %d: %d numbers, %d were acknowledged", w, len(got), least[w]))
		}
	}
	return faults
}

// After a power loss, everything is there that a durable write has acknowledged, and of
// the fleeting writes those before the first lost one.
func TestPowerLoss(t *testing.T) {
	for _, tt := range []struct {
		name   string
		trial  trial
		rounds int
		loses  bool
	}{
		{"one process", trial{synchronous: "FULL", stores: 1}, 15, false},
		{"two processes", trial{synchronous: "FULL", stores: 2}, 10, false},
		{"extra", trial{synchronous: "EXTRA", stores: 1}, 5, false},
		{"after failed syncs", trial{synchronous: "FULL", failSyncs: true, stores: 1}, 15, false},
		{"without syncs", trial{synchronous: "OFF", stores: 1}, 15, true}, // the test finds losses
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			losses := 0
			for range tt.rounds {
				tt.trial.seed = rand.Uint64()
				faults := tt.trial.run(t)
				if len(faults) > 0 {
					losses++
				}
				if len(faults) > 0 && !tt.loses {
					t.Fatalf("%+v: %q", tt.trial, faults)
				}
			}
			if tt.loses && losses == 0 {
				t.Error("found no loss")
			}
			t.Logf("%d of %d power losses lost something", losses, tt.rounds)
		})
	}
}

// A durable write syncs the log once, and a fleeting one does not, in whatever order they
// come.
func TestSyncsOfWrites(t *testing.T) {
	d, name := newDisk(t)
	s := openInside(t, filepath.Join(t.TempDir(), "orderflow.db"), Options{vfs: name})
	var syncs atomic.Int64
	d.failWith(func(op, suffix string) error {
		if op == "sync" && suffix == "-wal" {
			syncs.Add(1)
		}
		return nil
	})
	for n, d := range []durability{fleeting, durable, fleeting, durable, durable, fleeting, fleeting, durable} {
		syncs.Store(0)
		err := s.write(t.Context(), d, func(tx *tx) error {
			_, err := tx.exec("INSERT INTO contacts VALUES (?, '', '', '', 0)", fmt.Sprint(n))
			return err
		})
		want := int64(0)
		if d == durable {
			want = 1
		}
		if got := syncs.Load(); got != want || err != nil {
			t.Errorf("write %d: %d syncs, error %v, want %d", n, got, err, want)
		}
	}
}
