package rabbitmq_test

import (
	"errors"
	"testing"

	"example.com/orderflow/adapters/rabbitmq"
	"example.com/orderflow/ports"
)

func TestPartsAreTheSameEachTime(t *testing.T) {
	broker := open(t, "amqp://nowhere.invalid/", rabbitmq.Topology{})
	if a, b := broker.Publisher(), broker.Publisher(); a != b {
		t.Error("Publisher returns another publisher each time")
	}
	if a, b := broker.Consumer(), broker.Consumer(); a != b {
		t.Error("Consumer returns another consumer each time")
	}
	if a, b := broker.DeadLetterQueue(), broker.DeadLetterQueue(); a != b {
		t.Error("DeadLetterQueue returns another queue each time")
	}
}

func TestClosedBroker(t *testing.T) {
	broker := open(t, brokerURL(t), newTopology(t))
	event := newEvent(t)
	calls := map[string]func() error{
		"Publish": func() error { return tryPublish(t, broker.Publisher(), event) },
		"Replay":  func() error { return broker.DeadLetterQueue().Replay(bounded(t, patience), "l", ports.Message{}) },
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
