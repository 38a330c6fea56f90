package deadletters

import (
	"cmp"
	"strings"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/actions"
	"example.com/orderflow/services/internal/httpapi"
	"example.com/orderflow/services/internal/mask"
)

// mainChannel is the channel whose queue is the main one, which has no subscription.
const mainChannel = "log"

// SubscriptionOf returns the subscription of the channel's queue. Its dead letters name it.
func SubscriptionOf(channel string) string {
	if channel == mainChannel {
		return ""
	}
	return channel
}

// Filter selects dead letters by the texts of a request or of flags. They must match all of
// its fields. Empty fields select all.
type Filter struct {
	Channel      string // whose queue they were set aside from
	Type         string // of the event
	UserID       string
	OrderID      string
	Reason       string // the latest reason contains it
	Group        string // the latest reason has the same group as this text; see [ports.ReasonGroup]
	Since, Until string // RFC 3339; the first failure is not before Since, and before Until
}

// Query returns the filter's query. [*domain.InvalidError] is returned when a field is
// wrong; it names all of them.
func (f Filter) Query() (ports.DeadLetterQuery, error) {
	query := ports.DeadLetterQuery{EventType: f.Type, UserID: f.UserID, Reason: f.Reason, Group: ports.ReasonGroup(f.Group)}
	var invalid domain.InvalidError
	if f.Channel != "" {
		subscription := SubscriptionOf(f.Channel)
		query.Subscription = &subscription
	}
	if f.OrderID != "" {
		id, err := domain.ParseOrderID(f.OrderID)
		if err != nil {
			invalid.Fields = append(invalid.Fields, domain.FieldError{Field: "order_id", Reason: mustBeOrderID})
		}
		query.OrderID = id
	}
	if f.Group != "" && query.Group == "" {
		invalid.Fields = append(invalid.Fields, domain.FieldError{Field: "group", Reason: "must have visible characters"})
	}
	var faults []domain.FieldError
	query.From, query.To, faults = httpapi.Period(httpapi.Bound{Name: "since", Text: f.Since}, httpapi.Bound{Name: "until", Text: f.Until})
	if invalid.Fields = append(invalid.Fields, faults...); len(invalid.Fields) > 0 {
		return ports.DeadLetterQuery{}, &invalid
	}
	return query, nil
}

// String returns the filter for people, without personal data.
func (f Filter) String() string {
	if f.UserID != "" {
		f.UserID = actions.User(f.UserID)
	}
	var parts []string
	for _, part := range []struct{ name, text string }{
		{"channel", f.Channel}, {"type", f.Type}, {"", f.UserID}, {"order", f.OrderID}, {"reason", f.Reason}, {"group", f.Group},
		{"since", f.Since}, {"until", f.Until},
	} {
		if part.text != "" {
			parts = append(parts, strings.TrimSpace(part.name+" "+mask.Text(part.text)))
		}
	}
	return strings.Join(parts, ", ")
}

// channelOf returns the name of the channel of a dead letter.
func channelOf(subscription string) string {
	return cmp.Or(subscription, mainChannel)
}
