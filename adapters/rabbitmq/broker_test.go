package rabbitmq_test

import (
	"errors"
	"testing"

	"example.com/orderflow/adapters/rabbitmq"
	"example.com/orderflow/ports"
)

func TestMethodsReturnTheSamePart(t *testing.T) {
	broker := open(t, "amqp://nowhere.invalid/", rabbitmq.Topology{})
	parts := func() map[string]any {
		return map[string]any{"Publisher": broker.Publisher(), "Consumer": broker.Consumer(), "DeadLetterQueue": broker.DeadLetterQueue()}
	}
	again := parts()
	for name, part := range parts() {
		if part != again[name] {
			t.Errorf("%s returns another part each time", name)
		}
	}
}

func TestClosedBroker(t *testing.T) {
	broker := open(t, brokerURL(t), newTopology(t))
	event := newEvent(t)
	calls := map[string]func() error{
		"Publish": func() error { return tryPublish(t, broker.Publisher(), event) },
		"Replay":  func() error { return broker.DeadLetterQueue().Replay(bounded(t, patience), ports.DeadLetter{ID: "l"}) },
	}
	for name, call := range calls {
		if err := call(); err != nil {
			t.Fatalf("%s before Close: %v", name, err)
		}
	}
	for range 2 {
		if err := broker.Close(bounded(t, patience)); err != nil {
			t.Fatal(err)
		}
		for name, call := range calls {
			if err := call(); !errors.Is(err, ports.ErrUnavailable) {
				t.Errorf("%s after Close: error %v, want ErrUnavailable", name, err)
			}
		}
	}
}
