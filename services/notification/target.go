package notification

import (
	"context"
	"errors"
	"slices"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// target is where a notification goes.
type target struct {
	address  string
	language string
	receiver string // of the address; see [ports.AddressedChannel]
	ofUser   bool   // the address is a user's, not in the configuration
	skip     string // why the notification is not sent; empty: it is
}

// errNotConfigured is returned when the route has no such recipient any more.
var errNotConfigured = errors.New("its recipient is not configured any more; it is tried again once it is")

// notConfiguredDelay is the time between two tries to find the recipient. Its
// notifications wait, because a mistake in the configuration must lose none.
const notConfiguredDelay = time.Hour

// Recipients returns the recipients of every event, as in the delivery log: one with an
// empty name if the channel has no addresses.
func (r Route) Recipients() []string {
	if _, addressed := r.Channel.(ports.AddressedChannel); !addressed {
		return []string{""}
	}
	names := make([]string, 0, 1+len(r.Endpoints))
	if r.ToUsers {
		names = append(names, domain.UserRecipient)
	}
	for _, e := range r.Endpoints {
		names = append(names, e.Name)
	}
	return names
}

// target returns where the event's notification to the recipient goes now. It waits for
// an unavailable store until ctx ends. An error marked by [ports.Permanent] is returned
// when the user's contact can't be read, and errNotConfigured when the route does not
// have the recipient.
func (s *Service) target(ctx context.Context, r *route, recipient string, event domain.Event) (target, error) {
	if len(r.Types) > 0 && !slices.Contains(r.Types, event.Type) {
		return target{skip: "the channel does not send events of type " + string(event.Type)}, nil
	}
	switch {
	case r.addressed == nil && recipient == "":
		return target{}, nil
	case r.addressed != nil && r.ToUsers && recipient == domain.UserRecipient:
		return s.user(ctx, r, event.Order.UserID)
	case r.addressed != nil:
		for _, e := range r.Endpoints {
			if e.Name == recipient {
				return target{address: e.Address, receiver: r.addressed.Receiver(e.Address)}, nil
			}
		}
	}
	return target{}, errNotConfigured
}

func (s *Service) user(ctx context.Context, r *route, userID string) (target, error) {
	var contact ports.Contact
	var found bool
	err := s.retry.UntilAvailable(ctx, func() (err error) {
		contact, err = s.contacts.Get(ctx, userID)
		found = err == nil
		switch {
		case errors.Is(err, ports.ErrNotFound):
			return nil
		case errors.As(err, new(*ports.UnreadableError)):
			return ports.Permanent(err)
		}
		return err
	})
	address := contact.Addresses[r.name]
	switch {
	case err != nil:
		return target{}, err
	case !found:
		return target{skip: "the user has no contact"}, nil
	case slices.Contains(contact.Off, r.name):
		return target{skip: "the user does not want this channel"}, nil
	case address == "":
		return target{skip: "the user has no address for this channel"}, nil
	}
	return target{address: address, language: contact.Language, receiver: r.addressed.Receiver(address), ofUser: true}, nil
}
