package mongodb_test

import (
	"context"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/event"

	"example.com/orderflow/adapters/mongodb"
	"example.com/orderflow/domain"
)

// gate stops each insert until the test lets it pass, so that later calls wait
// together.
type gate struct {
	stopped chan struct{} // receives one value for each stopped insert
	pass    chan struct{} // each value lets one insert pass; closed: all pass
}

// openGated opens a database of the test's own behind a gate.
func openGated(t *testing.T) (*mongodb.Store, *gate) {
	t.Helper()
	g := newGate()
	return openWith(t, mongodb.Monitored(g.monitor())), g
}

func newGate() *gate {
	return &gate{stopped: make(chan struct{}, 1000), pass: make(chan struct{})}
}

func (g *gate) monitor() *event.CommandMonitor {
	return &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		if e.CommandName == "insert" {
			g.stopped <- struct{}{}
			<-g.pass
		}
	}}
}

// await waits until an insert is stopped.
func (g *gate) await(t *testing.T) {
	t.Helper()
	select {
	case <-g.stopped:
	case <-bounded(t).Done():
		t.Fatal("no insert was sent")
	}
}

// hold adds a first order, whose insert the gate stops.
func (g *gate) hold(t *testing.T, orders *mongodb.Orders, wg *sync.WaitGroup) {
	t.Helper()
	wg.Go(func() {
		if err := orders.Add(bounded(t), newOrder(t, "first", epoch), domain.Origin{}); err != nil {
			t.Errorf("add the first order: %v", err)
		}
	})
	g.await(t)
}
