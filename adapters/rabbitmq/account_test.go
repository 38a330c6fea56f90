package rabbitmq_test

import (
	"context"
	"errors"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/ports"
)

func TestUnreadableDepth(t *testing.T) {
	topology := newTopology(t)
	queue := newDeadLetterQueue(t, brokerURL(t), topology)
	if _, err := queue.UnreadableDepth(bounded(t, patience)); !errors.Is(err, ports.ErrNotFound) {
		t.Errorf("without a queue: error %v, want ErrNotFound", err)
	}
	declareTopology(t, brokerURL(t), topology)
	send(t, "", unreadable(topology), amqp.Publishing{Body: []byte("x")})
	eventually(t, "the message is counted", func() bool {
		depth, err := queue.UnreadableDepth(bounded(t, patience))
		return err == nil && depth == ports.QueueDepth{Ready: 1}
	})
}

// The broker does not tell what another process has taken.
func TestDepthOfOthers(t *testing.T) {
	topology := newTopology(t)
	one := newDeadLetterQueue(t, brokerURL(t), topology)
	other := newDeadLetterQueue(t, brokerURL(t), topology)
	drain(t, one, func(context.Context, ports.DeadLetter) error { return nil })
	for queue, hides := range map[interface {
		Depth(context.Context) (ports.QueueDepth, error)
	}]bool{one: false, other: true} {
		eventually(t, "the drain is counted", func() bool {
			depth, err := queue.Depth(bounded(t, patience))
			return err == nil && depth.Consumers == 1 && depth.Hidden > 0 == hides
		})
	}
}
