package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.mongodb.org/mongo-driver/v2/bson"

	"example.com/orderflow/services/cmd/proof/harness"
)

const (
	scenarioFaults = "faults"
	scenarioOutage = "broker-outage"
	warmUp         = 10 * time.Second
	catchUp        = 30 * time.Second // in which the backlog must be empty
)

// outage is what the scenario broker-outage measures.
type outage struct {
	down    time.Duration // until the broker answered again
	backlog int           // events in the outbox then
	emptied time.Duration // until they had left it
}

// stopBroker stops the broker once under load, and watches the backlog after its
// return. The load finds every POST that failed.
func (t *trial) stopBroker(ctx context.Context) error {
	if !t.servers.ours[serverBroker] {
		return fmt.Errorf("scenario %s: .ci/services did not start the broker, so it can't stop it", scenarioOutage)
	}
	harness.Sleep(ctx, warmUp)
	over := t.begin(serverBroker, string(stopServer))
	defer over()
	o := new(outage)
	t.outage = o
	began := time.Now()
	if _, err := t.servers.control(ctx, "stop", serverBroker); err != nil {
		return err
	}
	harness.Sleep(ctx, t.BrokerPause)
	started := make(chan error, 1)
	go func() {
		_, err := t.servers.control(context.WithoutCancel(ctx), "start", serverBroker)
		started <- err
	}()
	for t.servers.WithChannel(func(*amqp.Channel) error { return nil }) != nil {
		if !harness.Sleep(ctx, 100*time.Millisecond) {
			<-started
			return context.Cause(ctx)
		}
	}
	back := time.Now()
	o.down = back.Sub(began)
	over()

	earlier := bson.M{"created_at": bson.M{"$lte": back}}
	backlog, err := t.servers.database.Waiting(ctx, earlier)
	o.backlog = backlog
	for err == nil && backlog > 0 && time.Since(back) < 3*catchUp {
		harness.Sleep(ctx, 50*time.Millisecond)
		backlog, err = t.servers.database.Waiting(ctx, earlier)
	}
	o.emptied = time.Since(back)
	if err := errors.Join(err, <-started); err != nil {
		return err
	}
	if o.emptied > catchUp {
		t.breaks(catchesUpInTime, "after %v", o.emptied.Round(time.Second))
	}
	harness.Sleep(ctx, warmUp)
	return nil
}
