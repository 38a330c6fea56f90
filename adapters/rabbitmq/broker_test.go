package rabbitmq_test

import (
	"testing"

	"example.com/orderflow/adapters/rabbitmq"
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
