package main

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// lastAgain is how many old events are published again in the end.
const lastAgain = 100

// settle has everything come to rest, stops the services, the first of them
// while they are asked for more, and takes account.
func (st *stage) settle(ctx context.Context) (*report, error) {
	drained, err := st.drain(ctx, drainTimeout)
	if err != nil {
		return nil, err
	}
	st.figures.drain = drained
	// By now every claim has run out: what would be sent again has no excuse.
	if _, err := st.disturber.mailman.publishAgain(ctx, lastAgain); err != nil {
		return nil, err
	}
	if _, err := st.drain(ctx, lastDrainTimeout); err != nil {
		return nil, err
	}
	if err := st.figures.atEnd(ctx, st.processes, &st.ledger); err != nil {
		return nil, err
	}

	if err := st.leave(ctx); err != nil {
		return nil, err
	}
	if _, err := st.drain(ctx, lastDrainTimeout); err != nil {
		return nil, err
	}

	e := &evidence{requests: st.load.requests, poison: st.disturber.mailman.poison}
	account, err := st.takeAccount(ctx, e, append(st.of(programNotification), st.of(programOrder)[0]))
	if err != nil {
		return nil, err
	}
	return &report{stage: st, account: account}, nil
}

// takeAccount stops the processes that still run, completes the evidence with
// what the services have left, and takes account of it.
func (st *stage) takeAccount(ctx context.Context, e *evidence, running []*process) (*account, error) {
	for began := time.Now(); ; {
		if err := e.readLetters(ctx, st.of(programNotification)[0].admin); err != nil {
			return nil, err
		}
		// One that is on its way from the broker to the store is in neither.
		if e.allParked() || time.Since(began) > time.Minute {
			break
		}
		sleep(ctx, time.Second)
	}
	st.stop(running)
	st.checkLeft()
	if err := e.readStore(ctx, st.servers); err != nil {
		return nil, err
	}
	if err := e.readLogs(st.folder, &st.ledger); err != nil {
		return nil, err
	}
	return take(e, witness{
		killed: func(process string, from, to time.Time) bool {
			return st.timeline.began(from, to, process, syscall.SIGKILL.String())
		},
		storeAway: func(process string, from, to time.Time) bool {
			return st.timeline.disturbed(from, to, process+" "+serverStore, serverStore)
		},
	}, &st.ledger), nil
}

// leave stops the order services while they are asked for more. One lives on
// after that, for what they may have left in the outbox.
func (st *stage) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		sleep(ctx, 2*time.Second)
		st.stop(st.of(programOrder))
	})
	st.load.leave(ctx)
	wg.Wait()
	return st.of(programOrder)[0].revive()
}

// backlog is what still waits somewhere.
type backlog struct {
	outbox, unsent, queued int
}

func (b backlog) String() string {
	return fmt.Sprintf("%d in the outbox, %d orders not notified, %d in the queues", b.outbox, b.unsent, b.queued)
}

func (st *stage) backlog(ctx context.Context) (b backlog, err error) {
	orders, deliveries := st.servers.database.Collection(ordersCollection), st.servers.database.Collection(deliveriesCollection)
	outbox, err := orders.CountDocuments(ctx, bson.M{"outbox": bson.M{"$exists": true}})
	if err != nil {
		return b, fmt.Errorf("count the outbox: %w", err)
	}
	stored, err := orders.CountDocuments(ctx, bson.M{})
	if err != nil {
		return b, fmt.Errorf("count the orders: %w", err)
	}
	sent, err := deliveries.CountDocuments(ctx, bson.M{})
	if err != nil {
		return b, fmt.Errorf("count the deliveries: %w", err)
	}
	depths, err := st.servers.depths()
	if err != nil {
		return b, fmt.Errorf("ask for the queues: %w", err)
	}
	for _, n := range depths {
		b.queued += n
	}
	b.outbox, b.unsent = int(outbox), int(stored-sent)
	return b, nil
}

// drain waits until nothing waits anywhere. If that does not come to pass, the
// account tells what is missing.
func (st *stage) drain(ctx context.Context, timeout time.Duration) (took time.Duration, err error) {
	began := time.Now()
	for told := began; ; {
		b, err := st.backlog(ctx)
		took := time.Since(began)
		if err == nil && b == (backlog{}) {
			return took, nil
		}
		state := fmt.Sprint(b)
		if err != nil { // it may pass
			state = err.Error()
		}
		if took > timeout {
			st.ledger.breaks(drainsInTime, "after %v: %v", timeout, state)
			return took, nil
		}
		if time.Since(told) > 10*time.Second {
			told = time.Now()
			fmt.Printf("chaos: drains: %v\n", state)
		}
		if !sleep(ctx, 200*time.Millisecond) {
			return 0, context.Cause(ctx)
		}
	}
}

// checkLeft looks for what the processes have left behind.
func (st *stage) checkLeft() {
	depths, err := st.servers.depths()
	if err != nil {
		st.ledger.breaks(queuesEmpty, "not known: %v", err)
	}
	for name, n := range depths {
		if n > 0 { // with what was handed out and not acknowledged
			st.ledger.breaks(queuesEmpty, "%s: %d", name, n)
		}
	}
	for _, p := range st.processes {
		for server, link := range p.links {
			for end := time.Now().Add(5 * time.Second); link.connections() > 0 && time.Now().Before(end); {
				time.Sleep(20 * time.Millisecond)
			}
			if n := link.connections(); n > 0 {
				st.ledger.breaks(nothingConnected, "%s: %d", p.link(server), n)
			}
		}
	}
}
