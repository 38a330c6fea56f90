package notification_test

import (
	"strings"
	"testing"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/notification"
)

func TestConstructorsRefuse(t *testing.T) {
	named := func(name string) ports.Channel { return &channel{name: name} }
	var noChannel *channel
	newService := func(log ports.DeliveryLog, channels ...ports.Channel) func() error {
		return func() error { _, err := notification.NewService(log, discard, channels...); return err }
	}
	log := new(memory.Deliveries)
	tests := []struct {
		name string
		make func() error
		want string // in the error; empty: none
	}{
		{"service", newService(log, named("log"), named("mail")), ""},
		{"longest name", newService(log, named(strings.Repeat("x", 32))), ""},
		{"claims as long as a handler", newService(&memory.Deliveries{Lease: 30 * time.Second}, named("log")), "claims last 30s"},
		{"claims that are just long enough", newService(&memory.Deliveries{Lease: 31 * time.Second}, named("log")), ""},
		{"no delivery log", newService(nil, named("log")), "needs a delivery log"},
		{"no channel", newService(log), "no channel was given"},
		{"nil channel", newService(log, named("log"), noChannel), "channel 2 of 2 is nil"},
		{"two channels with one name", newService(log, named("log"), named("mail"), named("log")), `two channels are named "log"`},
		{"empty name", newService(log, named("")), "1 to 32 visible ASCII characters"},
		{"long name", newService(log, named(strings.Repeat("x", 33))), "1 to 32 visible ASCII characters"},
		{"name with a space", newService(log, named("my mail")), "1 to 32 visible ASCII characters"},
		{"handler with a zero service", func() error {
			_, err := notification.NewHandler(new(notification.Service), nil, nil, discard)
			return err
		}, "a service made by NewService"},
		{"handler without a service", func() error { _, err := notification.NewHandler(nil, nil, nil, discard); return err }, "handler needs a service"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.make()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestWithoutALogger(t *testing.T) {
	service := must(notification.NewService(new(memory.Deliveries), nil, &channel{name: "log"}))
	must(notification.NewHandler(service, nil, nil, nil))
	if err := service.Handle(t.Context(), ports.Delivery{Event: newEvent(t), Attempt: 1}); err != nil {
		t.Error(err)
	}
}
