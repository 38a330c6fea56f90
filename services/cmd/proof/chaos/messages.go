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

// publish repeats until the broker has confirmed every message, or ctx ends. The
// broker may also keep messages that it has not confirmed.
func (t *trial) publish(ctx context.Context, messages ...message) error {
	for {
		err := t.servers.WithChannel(func(ch *amqp.Channel) error {
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
					return fmt.Errorf("not confirmed: %w", err)
				}
			}
			return nil
		})
		if err == nil {
			return nil
		}
		if !harness.Sleep(ctx, 200*time.Millisecond) {
			return fmt.Errorf("publish by hand: %w", err)
		}
	}
}

// putPoison publishes a message that is no event.
func (t *trial) putPoison(ctx context.Context) (bool, error) {
	t.mu.Lock()
	t.poisonings++
	m := poisonMessage(t.Seed, t.poisonings)
	t.mu.Unlock()
	if err := t.publish(ctx, m); err != nil {
		return false, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.poison = append(t.poison, string(m.Body))
	return true, nil
}

// poisonMessage is no JSON, other JSON, or no text at all. Some have an id, as if
// another AMQP client had sent them.
func poisonMessage(seed uint64, number int) message {
	text := fmt.Sprintf("poison %d %d", seed, number)
	m := message{amqp.DefaultExchange, harness.MainQueue, amqp.Publishing{DeliveryMode: amqp.Persistent}}
	switch number % 3 {
	case 0:
		m.ContentType, m.Body = "text/plain", []byte(text)
	case 1:
		m.ContentType, m.Body = wire.ContentType, fmt.Appendf(nil, `{"poison":%q}`, text)
	default:
		m.Body = append([]byte(text), 0, 0xFF, 0xFE, '\n')
	}
	if number%2 == 0 {
		m.MessageId = text
	}
	return m
}

// isPoison reports whether putPoison made the body, confirmed or not.
func isPoison(body string) bool { return strings.Contains(body, "poison ") }

// publishAgain publishes the events of answered orders, each twice.
func (t *trial) publishAgain(ctx context.Context, orders int) (bool, error) {
	var messages []message
	for range orders {
		m, err := t.anyEvent(ctx)
		if err != nil {
			return false, err
		}
		messages = append(messages, m, m)
	}
	if err := t.publish(ctx, messages...); err != nil {
		return false, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.duplicates += len(messages)
	return true, nil
}

// anyEvent returns the event of an answered order.
func (t *trial) anyEvent(ctx context.Context) (message, error) {
	for {
		err := errors.New("no order was answered yet")
		if id, ok := t.load.anyAnswered(); ok {
			var order domain.Order
			if order, err = readOrder(ctx, t.load.anyAddress(), id); err == nil {
				event := order.Created()
				m, err := harness.EventMessage(event)
				return message{"orders", string(event.Type), m}, err
			}
		}
		if !harness.Sleep(ctx, 200*time.Millisecond) {
			return message{}, err
		}
	}
}

// readOrder reads an order through the API.
func readOrder(ctx context.Context, addr, id string) (domain.Order, error) {
	var o answer
	if err := harness.GetJSON(ctx, "http://"+addr+"/orders/"+id, &o); err != nil {
		return domain.Order{}, err
	}
	return domain.NewOrder(domain.OrderID(o.ID), o.UserID, o.Product, o.Quantity, o.CreatedAt)
}
