package rabbitmq_test

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// forms are messages as versions have put them into the queues. The file only grows.
type forms struct {
	Events      []storedForm
	DeadLetters []storedForm `json:"dead_letters"`
}

type storedForm struct {
	Form             string
	Headers          map[string]string
	Body             string
	Attempt          int    // that an event is delivered with
	ID, Subscription string // of a dead letter
}

func readForms(t *testing.T) (f forms) {
	t.Helper()
	text, err := os.ReadFile("testdata/forms.json")
	if err == nil {
		err = json.Unmarshal(text, &f)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (f storedForm) sendTo(t *testing.T, queue string) {
	t.Helper()
	headers := amqp.Table{}
	for name, value := range f.Headers {
		headers[name] = value
	}
	send(t, "", queue, amqp.Publishing{
		Headers: headers, ContentType: "application/json", DeliveryMode: amqp.Persistent, MessageId: f.Headers["ce-id"], Body: []byte(f.Body),
	})
}

// Queues may hold messages of each form at an update, so every later version must read
// them.
func TestReadsEveryFormOfEvents(t *testing.T) {
	topology := newTopology(t)
	declareTopology(t, brokerURL(t), topology)
	order, err := domain.NewOrder("0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234", "123", "Laptop", 1, time.Date(2026, 11, 23, 10, 0, 0, 120_000_000, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range readForms(t).Events {
		form.sendTo(t, topology.Queue)
		ctx, stop := context.WithCancel(bounded(t, patience))
		var got ports.Delivery
		err := newConsumer(t, brokerURL(t), topology).Consume(ctx, func(_ context.Context, d ports.Delivery) error {
			got = d
			stop()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(order.Created(), got.Event); diff != "" || got.Attempt != form.Attempt {
			t.Errorf("%s: attempt %d, want %d; event (-want +got):\n%s", form.Form, got.Attempt, form.Attempt, diff)
		}
	}
}

func TestReadsEveryFormOfDeadLetters(t *testing.T) {
	topology := newTopology(t)
	declareTopology(t, brokerURL(t), topology)
	for _, form := range readForms(t).DeadLetters {
		form.sendTo(t, deadLetters(topology))
		ctx, stop := context.WithCancel(bounded(t, patience))
		var got ports.DeadLetter
		err := newDeadLetterQueue(t, brokerURL(t), topology).Drain(ctx, func(_ context.Context, letter ports.DeadLetter) error {
			got = letter
			stop()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		want := ports.DeadLetter{
			ID: form.ID, Subscription: form.Subscription,
			Message: ports.Message{ID: form.Headers["ce-id"], ContentType: "application/json", Headers: map[string]string{}, Body: []byte(form.Body)},
			Failure: ports.Failure{
				Reason: "mailbox busy", Attempts: 2,
				FirstFailure: time.Date(2026, 11, 23, 10, 0, 1, 0, time.UTC), LastFailure: time.Date(2026, 11, 23, 10, 0, 11, 0, time.UTC),
			},
		}
		for name, value := range form.Headers {
			if !strings.HasPrefix(name, "orderflow-") {
				want.Message.Headers[name] = value
			}
		}
		if form.ID == "" && strings.HasPrefix(got.ID, "unreadable-") { // it is no event to this version
			want.ID = got.ID
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", form.Form, diff)
		}
	}
}
