package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/domain"
	"example.com/orderflow/services/cmd/proof/harness"
)

// message is published by the trial itself, as the services never would.
type message struct {
	exchange, key string
	amqp.Publishing
}

const publishTimeout = 5 * time.Minute // a server may be down for long

// publish repeats until the broker has confirmed every message, or ctx ends. The
// broker may also keep messages that it has not confirmed.
func (t *trial) publish(ctx context.Context, messages ...message) (err error) {
	send := func(ch *amqp.Channel) error {
		if err := ch.Confirm(false); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		for _, m := range messages {
			confirmation, err := ch.PublishWithDeferredConfirm(m.exchange, m.key, true, false, m.Publishing)
			if err != nil {
				return err
			}
			if kept, err := confirmation.WaitContext(ctx); err != nil || !kept {
				return errors.Join(errors.New("not confirmed"), err)
			}
		}
		return nil
	}
	if !await(ctx, publishTimeout, func() bool {
		err = t.servers.WithChannel(send)
		return err == nil
	}) {
		return fmt.Errorf("publish by hand: %w", err)
	}
	return nil
}

// putPoison publishes a message that is no event.
func (t *trial) putPoison(ctx context.Context) error {
	t.mu.Lock()
	t.poisonings++
	m := poisonMessage(t.Seed, t.poisonings)
	t.mu.Unlock()
	if err := t.publish(ctx, m); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.poison = append(t.poison, string(m.Body))
	return nil
}

// poisonMessage is no JSON, other JSON, or no text at all. Some have an id, as if
// another AMQP client had sent them.
func poisonMessage(seed uint64, number int) message {
	text := fmt.Sprintf("poison %d %d", seed, number)
	m := []amqp.Publishing{
		{ContentType: "text/plain", Body: []byte(text)},
		{ContentType: wire.ContentType, Body: fmt.Appendf(nil, `{"poison":%q}`, text)},
		{Body: []byte(text + "\x00\xFF\xFE\n")},
	}[number%3]
	m.DeliveryMode = amqp.Persistent
	if number%2 == 0 {
		m.MessageId = text
	}
	return message{amqp.DefaultExchange, harness.MainQueue, m}
}

// isPoison reports whether putPoison made the body, confirmed or not.
func isPoison(body string) bool { return strings.Contains(body, "poison ") }

// publishAgain publishes the events of answered orders, each twice.
func (t *trial) publishAgain(ctx context.Context, orders int) error {
	answered := func() bool {
		_, ok := t.load.anyAnswered()
		return ok
	}
	if !await(ctx, publishTimeout, answered) {
		return errors.New("publish again: no order was answered")
	}
	var messages []message
	for range orders {
		o, _ := t.load.anyAnswered()
		m, err := o.event()
		if err != nil {
			return err
		}
		messages = append(messages, m, m)
	}
	if err := t.publish(ctx, messages...); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.duplicates += len(messages)
	return nil
}

// event returns the message of the order's event.
func (o Order) event() (message, error) {
	order, err := domain.NewOrder(domain.OrderID(o.ID), o.UserID, o.Product, o.Quantity, o.CreatedAt)
	if err != nil {
		return message{}, err
	}
	event := order.Created()
	m, err := harness.EventMessage(event)
	return message{"orders", string(event.Type), m}, err
}
