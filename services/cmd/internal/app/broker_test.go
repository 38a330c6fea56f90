package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/orderflow/adapters/rabbitmq"
	"example.com/orderflow/ports"
)

type ready struct{}

func (ready) Ping(context.Context) error { return nil }

// Policies that lose events are logged once, even if both services check them. They
// do not end a service.
func TestPoliciesAreLogged(t *testing.T) {
	for _, tt := range []struct {
		name, management string
		err              error
		want             string // in the log; empty: nothing
	}{
		{"no check", "", errors.New("message-ttl"), ""},
		{"no such policy", "http://u:hunter2@h", nil, ""},
		{"a policy that loses events", "http://u:hunter2@h", fmt.Errorf("look: %w", &rabbitmq.PolicyError{Faults: []rabbitmq.PolicyFault{{Policy: "policy p", Key: "message-ttl", Effect: "empties", Queues: []string{"q"}}}}), `level=ERROR msg="policies of the broker lose events" error="look: policy p has message-ttl, which empties, on q`},
		{"error of the management API", "http://u:hunter2@h", errors.New("no vhost"), `level=WARN msg="the broker's policies could not be checked"`},
		{"unavailable", "http://u:hunter2@h", fmt.Errorf("%w: dial", ports.ErrUnavailable), `level=WARN msg="the broker's policies could not be checked"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := Common{BrokerManagement: tt.management, Broker: "amqp://h/", StartTimeout: time.Minute, LogLevel: "info", LogFormat: "text"}
				var out bytes.Buffer
				log := c.logger(&out)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				broker := &Broker{policies: func(context.Context) error { return tt.err }}
				broker.Publisher = struct {
					ports.EventPublisher
					ports.Pinger
				}{nil, ready{}}
				broker.Consumers = ready{}
				if err := errors.Join(c.AwaitPublisher(broker, log).Run(ctx), c.AwaitConsumer(broker, log).Run(ctx)); err != nil {
					t.Error(err)
				}
				got := out.String()
				if lines := strings.Count(got, "\n"); lines > 1 || (lines == 0) != (tt.want == "") || !strings.Contains(got, tt.want) || strings.Contains(got, "hunter2") {
					t.Errorf("logged %q, want once %q", got, tt.want)
				}
			})
		})
	}
}
