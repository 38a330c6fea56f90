package notification

import (
	"fmt"
	"slices"
	"strings"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/httpapi"
)

// Filter selects notifications by the texts of a query or of flags. Empty fields select
// all.
type Filter struct {
	OrderID, UserID, Channel string
	State                    string // one or more states, separated by commas
	From, To                 string // RFC 3339; the latest change is not before From, and before To
}

// Query returns the filter's query. [*domain.InvalidError] is returned when a field
// is wrong; it names all of them.
func (f Filter) Query() (ports.NotificationQuery, error) {
	query := ports.NotificationQuery{UserID: f.UserID, Channel: f.Channel}
	var invalid domain.InvalidError
	fault := func(field, reason string) {
		invalid.Fields = append(invalid.Fields, domain.FieldError{Field: field, Reason: reason})
	}
	if f.OrderID != "" {
		id, err := domain.ParseOrderID(f.OrderID)
		if err != nil {
			fault("order_id", "must be an order's id: a UUID with hyphens")
		}
		query.OrderID = id
	}
	if f.State != "" {
		for name := range strings.SplitSeq(f.State, ",") {
			state := domain.NotificationState(name)
			if !slices.Contains(domain.NotificationStates, state) {
				fault("state", fmt.Sprintf("must be of %s, separated by commas", stateNames(domain.NotificationStates)))
				break
			}
			if !slices.Contains(query.States, state) {
				query.States = append(query.States, state)
			}
		}
	}
	var faults []domain.FieldError
	query.From, query.To, faults = httpapi.Period(httpapi.Bound{Name: "from", Text: f.From}, httpapi.Bound{Name: "to", Text: f.To})
	invalid.Fields = append(invalid.Fields, faults...)
	if len(invalid.Fields) > 0 {
		return ports.NotificationQuery{}, &invalid
	}
	return query, nil
}

func stateNames(states []domain.NotificationState) string {
	names := make([]string, len(states))
	for i, state := range states {
		names[i] = string(state)
	}
	return strings.Join(names, ", ")
}
