package main

import (
	"context"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/services/cmd/proof/harness"
)

const channelClients = 64

// measureChannels measures ours with three channels: the log, mails to users, and
// webhooks to an operator. The receivers are in this process.
func (b *bench) measureChannels(ctx context.Context) {
	defer b.remove(ctx, func(ctx context.Context) error { return b.servers.Clean(ctx, false, harness.Queues...) })
	s := b.newStage(ours)
	defer s.close(ctx)
	mails := must(harness.StartMailServer())
	defer mails.Kill()
	webhooks := must(harness.StartWebhookServer())
	defer webhooks.Kill()
	s.env = harness.NotifierEnv(mails.Addr, webhooks.Addr)
	contacts := make([]harness.Contact, channelClients)
	for n := range contacts {
		contacts[n] = harness.Contact{UserID: fmt.Sprintf("client-%d", n), Email: fmt.Sprintf("client-%d@example.com", n)}
	}
	check(harness.ImportContacts(ctx, b.folder, append(harness.ServerEnv(s.database.URL, b.servers.Broker), s.env...), contacts))
	s.start(ctx, 1)
	check(s.awaitQueues(ctx))

	receivers := map[string]*harness.Receiver{harness.Email: mails, harness.Webhook: webhooks}
	s.placeNotified(ctx, channelClients, 0, s.duration/5)
	for _, r := range receivers {
		check(s.awaitArrivals(ctx, r))
	}
	before, began := readCPU(), time.Now()
	all, took, err := s.place(ctx, channelClients, 0, s.duration)
	check(err)
	slowest := s.await(ctx, all)
	s.figures.add("channels/answered", rate(len(all), took))
	s.figures.add("channels/log", rate(len(all), slowest.Sub(began)))
	for channel, r := range receivers {
		check(s.awaitArrivals(ctx, r))
		last := lastArrival(r)
		s.figures.add(name("channels", channel), rate(len(all), last.Sub(began)))
		if last.After(slowest) {
			slowest = last
		}
	}
	s.figures.add("channels/all", rate(len(all), slowest.Sub(began)))
	s.figures.addCPU("channels", before, readCPU(), len(all))
	s.finish(ctx)
}

// awaitQueues waits until every channel has its queue, which gets the events from then
// on.
func (s *stage) awaitQueues(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		if err = s.servers.WithChannel(func(ch *amqp.Channel) error {
			for _, queue := range harness.Queues {
				if _, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil); err != nil {
					return err
				}
			}
			return nil
		}); err == nil {
			return nil
		}
		if !harness.Sleep(ctx, 100*time.Millisecond) {
			return fmt.Errorf("wait for the channels' queues: %w", err)
		}
	}
}

// awaitArrivals waits until the receiver has a notification of each order.
func (s *stage) awaitArrivals(ctx context.Context, r *harness.Receiver) error {
	count, heard := 0, time.Now()
	for count < len(s.placed) {
		if n := r.Count(); n > count {
			count, heard = n, time.Now()
		} else if time.Since(heard) > silence {
			return fmt.Errorf("%w: %d of %d notifications have arrived", errLost, count, len(s.placed))
		}
		if !harness.Sleep(ctx, 10*time.Millisecond) {
			return ctx.Err()
		}
	}
	return nil
}

func lastArrival(r *harness.Receiver) (last time.Time) {
	for _, a := range r.Arrivals() {
		if at := a.Times[0]; at.After(last) {
			last = at
		}
	}
	return last
}

func (b *bench) channelTables() []*table {
	t := &table{
		title: "8. With mails and webhooks",
		note: fmt.Sprintf("%d clients place orders as fast as they are answered; each order is notified by the log, by a mail to its\n"+
			"user and by a webhook to an operator. The rates are until the last order was; the receivers take no time.", channelClients),
		head: []string{" ", "orders/s", "spread"},
	}
	f := b.figures
	for _, figure := range []string{"answered", "log", harness.Email, harness.Webhook, "all"} {
		t.row(figure, f.withSpread(whole, name("channels", figure)))
	}
	t.row("CPU of all, µs for an order", f.withSpread(whole, "channels/cpu of all"))
	return []*table{t}
}
