package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/domain"
)

// mailman publishes by hand what the services would not.
type mailman struct {
	seed    uint64
	servers *servers
	load    *load

	mu         sync.Mutex
	poison     []string // bodies that the broker has promised to keep
	numbers    int
	duplicates int
}

// letter is a message with where it is to go.
type letter struct {
	exchange, key string
	amqp.Publishing
}

// put publishes the letters until the broker has confirmed them, as long as ctx
// lets it. What was not confirmed may have been kept too.
func (m *mailman) put(ctx context.Context, letters ...letter) error {
	for {
		err := m.servers.withChannel(func(ch *amqp.Channel) error {
			if err := ch.Confirm(false); err != nil {
				return err
			}
			var promises []*amqp.DeferredConfirmation
			for _, l := range letters {
				promise, err := ch.PublishWithDeferredConfirm(l.exchange, l.key, true, false, l.Publishing)
				if err != nil {
					return err
				}
				promises = append(promises, promise)
			}
			ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			for _, promise := range promises {
				if kept, err := promise.WaitContext(ctx); err != nil || !kept {
					return fmt.Errorf("not confirmed: %w", err)
				}
			}
			return nil
		})
		if err == nil {
			return nil
		}
		if !sleep(ctx, 200*time.Millisecond) {
			return fmt.Errorf("publish by hand: %w", err)
		}
	}
}

// putPoison puts so many messages into the queue that are no events.
func (m *mailman) putPoison(ctx context.Context, count int) (bool, error) {
	var letters []letter
	m.mu.Lock()
	for range count {
		m.numbers++
		letters = append(letters, poisonLetter(m.seed, m.numbers))
	}
	m.mu.Unlock()
	if err := m.put(ctx, letters...); err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range letters {
		m.poison = append(m.poison, string(l.Body))
	}
	return true, nil
}

// poisonLetter is the message of that number: no JSON, JSON of something else,
// or no text at all; some with an id, as if from a stranger who knows AMQP.
func poisonLetter(seed uint64, number int) letter {
	text := fmt.Sprintf("poison %d %d", seed, number)
	l := letter{amqp.DefaultExchange, mainQueue, amqp.Publishing{DeliveryMode: amqp.Persistent}}
	switch number % 3 {
	case 0:
		l.ContentType, l.Body = "text/plain", []byte(text)
	case 1:
		l.ContentType, l.Body = wire.ContentType, fmt.Appendf(nil, `{"poison":%q}`, text)
	default:
		l.Body = append([]byte(text), 0, 0xFF, 0xFE, '\n')
	}
	if number%2 == 0 {
		l.MessageId = text
	}
	return l
}

// isPoison reports whether the body is of a message that putPoison has put,
// confirmed or not.
func isPoison(body string) bool { return strings.Contains(body, "poison ") }

// publishAgain publishes the events of so many orders that were answered
// before, each twice at once.
func (m *mailman) publishAgain(ctx context.Context, count int) (bool, error) {
	var letters []letter
	for range count {
		l, err := m.anyEvent(ctx)
		if err != nil {
			return false, err
		}
		letters = append(letters, l, l)
	}
	if err := m.put(ctx, letters...); err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.duplicates += len(letters)
	return true, nil
}

// anyEvent returns the event of any order that was answered before.
func (m *mailman) anyEvent(ctx context.Context) (letter, error) {
	var order domain.Order
	for {
		err := errors.New("no order was answered yet")
		if id, ok := m.load.anyAnswered(); ok {
			order, err = readOrder(ctx, m.load.anyAddress(), id)
		}
		if err == nil {
			break
		}
		if !sleep(ctx, 200*time.Millisecond) {
			return letter{}, err
		}
	}
	event := order.Created()
	encoded, err := wire.Encode(event)
	if err != nil {
		return letter{}, err
	}
	headers := make(amqp.Table)
	for name, value := range encoded.Headers {
		headers[name] = value
	}
	return letter{"orders", string(event.Type), amqp.Publishing{
		Headers: headers, ContentType: wire.ContentType, DeliveryMode: amqp.Persistent,
		MessageId: string(event.ID), Timestamp: event.Time, Body: encoded.Body,
	}}, nil
}

// readOrder reads an order by the API.
func readOrder(ctx context.Context, address, id string) (domain.Order, error) {
	var body struct {
		ID        domain.OrderID
		UserID    string `json:"user_id"`
		Product   string
		Quantity  int
		CreatedAt time.Time `json:"created_at"`
	}
	if err := getJSON(ctx, "http://"+address+"/orders/"+id, &body); err != nil {
		return domain.Order{}, err
	}
	return domain.NewOrder(body.ID, body.UserID, body.Product, body.Quantity, body.CreatedAt)
}

// getJSON decodes the answer to a GET.
func getJSON(ctx context.Context, url string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout+2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := oneConnection.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, response.Status)
	}
	return json.NewDecoder(response.Body).Decode(into)
}

// oneConnection keeps no connection, which the services would count.
var oneConnection = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func ready(address string) bool {
	var body any
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return getJSON(ctx, "http://"+address+"/readyz", &body) == nil
}
