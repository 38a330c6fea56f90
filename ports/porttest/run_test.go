package porttest_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"example.com/orderflow/ports/porttest"
)

func TestRunChecksEachClauseOnItsOwnAdapterAndSeveralAtOnce(t *testing.T) {
	const count, together = 20, 8
	var opened, began, checked atomic.Int64
	allBegan := make(chan struct{})
	var clauses []porttest.Clause[int64]
	adapters := make([]atomic.Bool, count)
	for n := range count {
		clauses = append(clauses, porttest.Clause[int64]{Name: fmt.Sprint("clause ", n), Check: func(t testing.TB, adapter int64) {
			if adapters[adapter].Swap(true) {
				t.Errorf("adapter %d was opened for two clauses", adapter)
			}
			if began.Add(1) == together {
				close(allBegan)
			}
			select {
			case <-allBegan:
			case <-time.After(10 * time.Second):
				t.Errorf("%d clauses run at once, want %d", began.Load(), together)
			}
			checked.Add(1)
		}})
	}
	porttest.Run(t, clauses, func(testing.TB) int64 { return opened.Add(1) - 1 })
	if opened.Load() != count || checked.Load() != count {
		t.Errorf("Run opened %d adapters and checked %d clauses, want %d", opened.Load(), checked.Load(), count)
	}
}
