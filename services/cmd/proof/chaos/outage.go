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
	outageTime     = 30 * time.Second
	catchUp        = 30 * time.Second // in which the backlog must be empty
)

// stopBroker stops the broker once under load, and watches the backlog after its
// return. The load finds every POST that failed.
func (t *trial) stopBroker(ctx context.Context) error {
	if !t.servers.ours[serverBroker] {
		return fmt.Errorf("scenario %s: .ci/services did not start the broker, so it can't stop it", scenarioOutage)
	}
	harness.Sleep(ctx, warmUp)
	over := t.begin("stop", serverBroker)
	defer over()
	began := time.Now()
	if err := t.servers.control(ctx, "stop", serverBroker); err != nil {
		return err
	}
	harness.Sleep(ctx, outageTime)
	started := make(chan error, 1)
	go func() { started <- t.servers.control(context.WithoutCancel(ctx), "start", serverBroker) }()
	await(ctx, 3*time.Minute, func() bool { return t.servers.WithChannel(func(*amqp.Channel) error { return nil }) == nil })
	back := time.Now()
	over()

	var err error
	waiting := func() (events int) {
		events, err = t.servers.database.Waiting(ctx, bson.M{"created_at": bson.M{"$lte": back}})
		return events
	}
	backlog := waiting()
	await(ctx, 3*catchUp, func() bool { return waiting() == 0 || err != nil })
	emptied := time.Since(back)
	if err := errors.Join(err, <-started, context.Cause(ctx)); err != nil {
		return err
	}
	if emptied > catchUp {
		t.breaks(catchesUpInTime, "after %v", emptied.Round(time.Second))
	}
	t.outage = []row{
		{"broker away for", tenths(back.Sub(began))}, {"backlog at its return", backlog}, {"backlog empty after", tenths(emptied)},
	}
	harness.Sleep(ctx, warmUp)
	return nil
}
