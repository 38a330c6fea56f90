package rabbitmq

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/domain"
)

// declaration makes a topology's exchanges, queues and bindings on a channel of
// its own, or on several: the broker closes a channel with each refusal.
type declaration struct {
	conn *amqp.Connection
	ch   *amqp.Channel
}

// on calls f with an open channel.
func (d *declaration) on(f func(*amqp.Channel) error) (err error) {
	if d.ch == nil || d.ch.IsClosed() {
		if d.ch, err = d.conn.Channel(); err != nil {
			return err
		}
	}
	return f(d.ch)
}

func (d *declaration) end() error {
	return d.on((*amqp.Channel).Close)
}

// declare makes what is not there yet. What the user may not make is taken as
// it is: to look whether it is there, any permission on it is enough. What the
// user has no permission on, the session has no use for, or fails to use.
func (t Topology) declare(conn *amqp.Connection) error {
	d := &declaration{conn: conn}
	exchanges := []struct{ name, kind string }{
		{t.deadLetters(), amqp.ExchangeFanout},
		{t.Exchange, amqp.ExchangeTopic},
	}
	for _, x := range exchanges {
		declare := func(ch *amqp.Channel) error {
			return ch.ExchangeDeclare(x.name, x.kind, true, false, false, false, nil)
		}
		look := func(ch *amqp.Channel) error {
			return ch.ExchangeDeclarePassive(x.name, x.kind, true, false, false, false, nil)
		}
		if err := d.declare("exchange", x.name, declare, look); err != nil {
			return err
		}
	}
	for _, q := range t.queues() {
		declare := func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclare(q.name, true, false, false, false, q.args)
			return err
		}
		look := func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclarePassive(q.name, true, false, false, false, q.args)
			return err
		}
		if err := d.declare("queue", q.name, declare, look); err != nil {
			return err
		}
	}
	bindings := []struct{ queue, key, exchange string }{
		{t.deadLetters(), "", t.deadLetters()},
		{t.Queue, string(domain.OrderCreated), t.Exchange},
	}
	for _, b := range bindings {
		err := d.on(func(ch *amqp.Channel) error { return ch.QueueBind(b.queue, b.key, b.exchange, false, nil) })
		if _, _, refused := rightRefused(err); refused {
			continue // taken to be there: who publishes finds out
		}
		if err != nil {
			return fmt.Errorf("bind queue %q to exchange %q: %w", b.queue, b.exchange, err)
		}
	}
	return d.end()
}

// declare makes an exchange or a queue, or looks whether it is there.
func (d *declaration) declare(kind, name string, declare, look func(*amqp.Channel) error) error {
	err := d.on(declare)
	if err == nil {
		return nil
	}
	if _, _, refused := rightRefused(err); !refused {
		var e *amqp.Error
		switch {
		case !errors.As(err, &e):
		case e.Code == amqp.PreconditionFailed && strings.Contains(e.Reason, "inequivalent arg"):
			return &TopologyError{Kind: kind, Name: name, Vhost: d.conn.Config.Vhost, Reason: e.Reason}
		case e.Code == amqp.PreconditionFailed && strings.Contains(e.Reason, "invalid arg"), strings.Contains(e.Reason, "reserved prefix"):
			return &InvalidTopologyError{fmt.Sprintf("%s %q", kind, name), e.Reason}
		}
		return fmt.Errorf("declare %s %q: %w", kind, name, err)
	}
	lookErr := d.on(look)
	if _, _, refused := rightRefused(lookErr); refused || lookErr == nil {
		return nil
	}
	var e *amqp.Error
	if errors.As(lookErr, &e) && e.Code == amqp.NotFound {
		return fmt.Errorf("declare %s %q, which is not there: %w", kind, name, err)
	}
	return fmt.Errorf("look for %s %q: %w", kind, name, lookErr)
}

// route is where messages are published to.
type route struct{ exchange, key string }

func (t Topology) publishing() []route { return []route{{t.Exchange, string(domain.OrderCreated)}} }

func (t Topology) handingOver() []route {
	return []route{{t.deadLetters(), ""}, {amqp.DefaultExchange, t.retryQueue(t.Delays[0])}}
}

func (t Topology) replaying() []route { return []route{{amqp.DefaultExchange, t.Queue}} }

// checkRoutes returns an error unless messages may be published by each of the
// routes. In a transaction the broker checks rights and exchanges when it gets
// a message; the rollback has it forget the message.
func checkRoutes(conn *amqp.Connection, routes []route) error {
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	err = ch.Tx()
	for _, r := range routes {
		err = cmp.Or(err, ch.Publish(r.exchange, r.key, false, false, amqp.Publishing{}))
	}
	err = cmp.Or(err, ch.TxRollback(), ch.Close())
	if ch.IsClosed() { // by the broker, maybe before the last call
		if reason := <-closed; reason != nil {
			err = reason
		}
	}
	if err != nil {
		return fmt.Errorf("look whether messages may be published: %w", err)
	}
	return nil
}
