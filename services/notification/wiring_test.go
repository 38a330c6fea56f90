package notification_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/notification"
)

// mailbox is a channel with addresses, which contain an @. What is after it is the
// receiver.
type mailbox struct{ channel }

func (*mailbox) CheckAddress(address string) error {
	if !strings.Contains(address, "@") {
		return errors.New("must be an address like ann@example.com")
	}
	return nil
}

func (*mailbox) Receiver(address string) string {
	_, host, _ := strings.Cut(address, "@")
	return host
}

func TestConstructorsRefuse(t *testing.T) {
	type route = notification.Route
	type endpoint = notification.Endpoint
	named := func(name string) route { return route{Channel: &channel{name: name}} }
	mail := func(change func(*route)) route {
		r := route{Channel: &mailbox{channel{name: "mail"}}, ToUsers: true}
		change(&r)
		return r
	}
	var noChannel *channel
	parts := partsOf(new(memory.Deliveries), discard)
	with := func(change func(*notification.Parts)) notification.Parts {
		changed := parts
		change(&changed)
		return changed
	}
	lease := func(d time.Duration) notification.Parts {
		return with(func(p *notification.Parts) { p.Deliveries = &memory.Deliveries{Lease: d} })
	}
	newService := func(parts notification.Parts, routes ...route) func() error {
		return func() error { _, err := notification.NewService(parts, routes...); return err }
	}
	queue := new(memory.Broker).Consumer()
	tests := []struct {
		name string
		make func() error
		want string // in the error; empty: none
	}{
		{"service", newService(parts, named("log"), named("mail")), ""},
		{"longest name", newService(parts, named(strings.Repeat("x", 32))), ""},
		{"claims as long as a handler", newService(lease(30*time.Second), named("log")), "claims last 30s"},
		{"claims that are just long enough", newService(lease(31*time.Second), named("log")), ""},
		{"no delivery log", newService(with(func(p *notification.Parts) { p.Deliveries = nil }), named("log")), "needs a delivery log"},
		{"no states", newService(with(func(p *notification.Parts) { p.States = (*memory.ChannelStates)(nil) }), named("log")), "needs the channels' states"},
		{"no dead letters", newService(with(func(p *notification.Parts) { p.DeadLetters = nil }), named("log")), "needs a dead-letter queue"},
		{"no contacts", newService(with(func(p *notification.Parts) { p.Contacts = nil }), mail(func(*route) {})), "needs contacts"},
		{"no contacts without users", newService(with(func(p *notification.Parts) { p.Contacts = nil }), named("log")), ""},
		{"short retention", newService(with(func(p *notification.Parts) { p.Retention = time.Minute }), named("log")), "the retention is 1m0s; it must be at least 1h0m0s"},
		{"no channel", newService(parts), "no channel was given"},
		{"nil channel", newService(parts, named("log"), route{Channel: noChannel}), "channel 2 of 2 is nil"},
		{"two channels with one name", newService(parts, named("log"), named("mail"), named("log")), `two channels are named "log"`},
		{"empty name", newService(parts, named("")), "1 to 32 visible ASCII characters"},
		{"long name", newService(parts, named(strings.Repeat("x", 33))), "1 to 32 visible ASCII characters"},
		{"name with a space", newService(parts, named("my mail")), "1 to 32 visible ASCII characters"},
		{"two channels with one queue", newService(parts, route{Channel: &channel{name: "log"}, Queue: queue}, route{Channel: &channel{name: "sms"}, Queue: queue}), "channels log and sms have the same subscription"},
		{"addresses without recipients", newService(parts, mail(func(r *route) { r.ToUsers = false })), "channel mail: it has neither users nor endpoints"},
		{"users without addresses", newService(parts, route{Channel: &channel{name: "log"}, ToUsers: true}), "channel log: it has no addresses"},
		{"endpoints", newService(parts, mail(func(r *route) { r.Endpoints = []endpoint{{"a", "a@b"}, {"b", "a@b"}} })), ""},
		{"wrong address", newService(parts, mail(func(r *route) { r.Endpoints = []endpoint{{"store", "nowhere"}} })), "the address of endpoint store must be an address like"},
		{"endpoint without a name", newService(parts, mail(func(r *route) { r.Endpoints = []endpoint{{"", "a@b"}} })), "endpoint 1 of 1 is named"},
		{"endpoint named as the user", newService(parts, mail(func(r *route) { r.Endpoints = []endpoint{{"user", "a@b"}} })), "stands for the order's user"},
		{"two endpoints with one name", newService(parts, mail(func(r *route) { r.Endpoints = []endpoint{{"a", "a@b"}, {"a", "c@d"}} })), `two endpoints are named "a"`},
		{"negative rate", newService(parts, mail(func(r *route) { r.Rate = -1 })), "its rate is -1"},
		{"no number as rate", newService(parts, mail(func(r *route) { r.Rate = math.NaN() })), "its rate is NaN"},
		{"negative concurrency", newService(parts, mail(func(r *route) { r.Concurrency = -1 })), "its concurrency is -1"},
		{"schedule without a base", newService(parts, mail(func(r *route) { r.Schedule.Horizon = time.Hour })), "channel mail: schedule: base is 0s"},
		{"handler with a zero control", func() error {
			_, err := notification.NewHandler(new(notification.Control), nil, nil, discard)
			return err
		}, "a control made by NewControl"},
		{"handler without a control", func() error { _, err := notification.NewHandler(nil, nil, nil, discard); return err }, "handler needs a control"},
		{"running a zero service", func() error { return new(notification.Service).Run(t.Context()) }, "was not made by NewService"},
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
	handle := handlerOf(new(memory.Deliveries), nil, &channel{name: "log"})
	must(notification.NewHandler(must(notification.NewControl(storeOf(new(memory.Store)), nil, nil)), nil, nil, nil))
	if err := handle(t.Context(), ports.Delivery{Event: newEvent(t), Attempt: 1}); err != nil {
		t.Error(err)
	}
}
