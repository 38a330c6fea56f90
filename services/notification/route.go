package notification

import (
	"errors"
	"fmt"
	"strings"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/wiring"
)

// Route says which events a channel sends to whom, and how fast. Only Channel is
// required; an [ports.AddressedChannel] also needs recipients.
type Route struct {
	Channel ports.Channel

	// Queue is the channel's own queue, from which Run consumes. Without one the
	// caller hands events to Service.Handler's handler.
	Queue ports.EventQueue

	// Subscription is the queue's name among the dead letters; empty: the main queue.
	Subscription string

	// The recipients. A channel without addresses has none: it sends each event once.
	ToUsers   bool       // the orders' users, at the addresses in their contacts
	Endpoints []Endpoint // get every event

	Types    []domain.EventType // that the channel sends; none: all
	Renderer Renderer           // nil: the channel makes its own text

	// Schedule is zero for DefaultSchedule, or for PatientSchedule if the channel has
	// addresses.
	Schedule Schedule

	// Rate bounds the notifications a second that this process sends; 0: no bound.
	Rate float64

	// Concurrency bounds the notifications that this process sends at once; 0:
	// DefaultConcurrency, or LocalConcurrency if the channel has no addresses.
	Concurrency int
}

// Endpoint is an address of an operator's own, such as a warehouse.
type Endpoint struct {
	Name    string // the recipient in the delivery log: 1 to 32 visible ASCII characters
	Address string
}

// Renderer makes the text of notifications.
type Renderer interface {
	// Render returns the text about the event in the language (BCP 47), or in the
	// nearest that it has; empty: its default. The text of a test says that it is
	// one. An error is returned when no text can be made of the event; a repetition
	// would not help.
	Render(event domain.Event, language string, test bool) (ports.Content, error)
}

const (
	DefaultConcurrency = 64
	LocalConcurrency   = 512 // as many as a consumer handles at once

	maxName        = 32
	maxConcurrency = 10_000
	maxRate        = 1_000_000
)

// checkRoutes returns an error that names the first impossible part of the routes.
func checkRoutes(routes []Route) error {
	if len(routes) == 0 {
		return errors.New("no channel was given; the service would acknowledge events without notifying anybody")
	}
	names, subscriptions := make(map[string]bool, len(routes)), make(map[string]string, len(routes))
	for i, r := range routes {
		if wiring.IsNil(r.Channel) {
			return fmt.Errorf("channel %d of %d is nil", i+1, len(routes))
		}
		name := r.Channel.Name()
		if !isName(name) {
			return fmt.Errorf("channel %d of %d is named %q; a name is 1 to %d visible ASCII characters", i+1, len(routes), name, maxName)
		}
		if names[name] {
			return fmt.Errorf("two channels are named %q; the delivery log distinguishes channels by their names", name)
		}
		names[name] = true
		if !wiring.IsNil(r.Queue) {
			if other, ok := subscriptions[r.Subscription]; ok {
				return fmt.Errorf("channels %s and %s have the same subscription, %q; each needs a queue of its own, or gets only a part of the events",
					other, name, r.Subscription)
			}
			subscriptions[r.Subscription] = name
		}
		if err := r.check(); err != nil {
			return fmt.Errorf("channel %s: %w", name, err)
		}
	}
	return nil
}

func (r Route) check() error {
	addressed, ok := r.Channel.(ports.AddressedChannel)
	recipients := r.ToUsers || len(r.Endpoints) > 0
	switch {
	case ok && !recipients:
		return errors.New("it has neither users nor endpoints as recipients; it would send nothing")
	case !ok && recipients:
		return errors.New("it has no addresses, but users or endpoints as recipients; each event would be sent once, to none of them")
	case r.Rate != 0 && !(r.Rate > 0 && r.Rate <= maxRate):
		return fmt.Errorf("its rate is %v notifications a second; it must be more than 0, and %d at most; 0 is no bound", r.Rate, maxRate)
	case r.Concurrency < 0 || r.Concurrency > maxConcurrency:
		return fmt.Errorf("its concurrency is %d; it must be 1 to %d; 0 is the default", r.Concurrency, maxConcurrency)
	}
	names := make(map[string]bool, len(r.Endpoints))
	for i, e := range r.Endpoints {
		switch {
		case !isName(e.Name):
			return fmt.Errorf("endpoint %d of %d is named %q; a name is 1 to %d visible ASCII characters", i+1, len(r.Endpoints), e.Name, maxName)
		case e.Name == domain.UserRecipient:
			return fmt.Errorf("endpoint %d of %d is named %q, which stands for the order's user in the delivery log", i+1, len(r.Endpoints), e.Name)
		case names[e.Name]:
			return fmt.Errorf("two endpoints are named %q; the delivery log distinguishes recipients by their names", e.Name)
		}
		names[e.Name] = true
		if err := addressed.CheckAddress(e.Address); err != nil {
			return fmt.Errorf("the address of endpoint %s %w", e.Name, err)
		}
	}
	if r.Schedule != (Schedule{}) {
		if err := r.Schedule.Check(); err != nil {
			return fmt.Errorf("schedule: %w", err)
		}
	}
	return nil
}

func isName(name string) bool {
	return name != "" && len(name) <= maxName && !strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' })
}
