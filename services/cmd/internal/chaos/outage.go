package main

import (
	"context"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.mongodb.org/mongo-driver/v2/bson"
)

const (
	scenarioFaults = "faults"
	scenarioOutage = "broker-outage"
	warmUp         = 10 * time.Second
	catchUp        = 30 * time.Second // within which the backlog is to be empty
)

// outageFigures are what the scenario broker-outage measures.
type outageFigures struct {
	down    time.Duration // from the order to stop until the broker answered again
	backlog int64         // events in the outbox when it did
	emptied time.Duration // from then until they had left it
}

// outage stops the broker once under load, and sees the backlog empty after its
// return. That no POST fails is seen by the load.
func (st *stage) outage(ctx context.Context) error {
	if !st.servers.ours[serverBroker] {
		return fmt.Errorf("scenario %s: the broker was not started here", scenarioOutage)
	}
	sleep(ctx, warmUp)
	over := st.timeline.begin(serverBroker, string(stopServer))
	defer over()
	f := &outageFigures{}
	st.figures.outage = f
	began := time.Now()
	if _, err := st.servers.control(ctx, "stop", serverBroker); err != nil {
		return err
	}
	sleep(ctx, st.settings.BrokerPause)
	started := make(chan error, 1)
	go func() {
		_, err := st.servers.control(context.WithoutCancel(ctx), "start", serverBroker)
		started <- err
	}()
	for st.servers.withChannel(func(*amqp.Channel) error { return nil }) != nil {
		if !sleep(ctx, 100*time.Millisecond) {
			<-started
			return context.Cause(ctx)
		}
	}
	back := time.Now()
	f.down = back.Sub(began)
	over()

	waiting := bson.M{"outbox": bson.M{"$exists": true}, "created_at": bson.M{"$lte": back}}
	orders := st.servers.database.Collection(ordersCollection)
	for first := true; ; first = false {
		n, err := orders.CountDocuments(ctx, waiting)
		if err != nil {
			return fmt.Errorf("count the backlog: %w", err)
		}
		if first {
			f.backlog = n
		}
		f.emptied = time.Since(back)
		if n == 0 {
			break
		}
		if f.emptied > 3*catchUp {
			break
		}
		sleep(ctx, 50*time.Millisecond)
	}
	if f.emptied > catchUp {
		st.ledger.breaks(catchesUpInTime, "after %v", f.emptied.Round(time.Second))
	}
	if err := <-started; err != nil {
		return err
	}
	sleep(ctx, warmUp)
	return nil
}
