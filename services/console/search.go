package console

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/httpapi"
)

// FoundView is what a search has found.
type FoundView struct {
	Kind       FoundKind   `json:"kind"`
	Orders     []OrderView `json:"orders"`
	NextCursor *string     `json:"next_cursor"` // null on the last page
}

// FoundKind says what the text of a search was.
type FoundKind string

const (
	FoundOrder FoundKind = "order" // an order's id
	FoundEvent FoundKind = "event" // an event's id, or one that begins with it, such as a dead letter's
	FoundUser  FoundKind = "user"
	FoundNone  FoundKind = "none"
)

const (
	defaultPage = 20
	maxPage     = 100
	maxText     = 512 // bytes of what is searched
)

func (c *Console) search(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := httpapi.Begin(r, c.RequestTimeout)
	defer cancel()
	parameters, err := httpapi.Query(r,
		httpapi.Parameter{Name: "q"},
		httpapi.Parameter{Name: "limit", Without: "get 20 per page"},
		httpapi.Parameter{Name: "cursor", Without: "get the first page"},
	)
	if err != nil {
		return err
	}
	text := strings.TrimSpace(parameters["q"])
	if text == "" || len(text) > maxText {
		return httpapi.Invalid(domain.FieldError{Field: "q", Reason: "must be the id of an order, an event or a user"})
	}
	limit, err := httpapi.Limit(parameters["limit"], defaultPage, maxPage)
	if err != nil {
		return err
	}
	if err := httpapi.ReservePage(ctx, w, limit); err != nil {
		return err
	}
	found, err := c.find(ctx, text, limit, parameters["cursor"])
	if err != nil {
		return problem(err)
	}
	return httpapi.WriteJSON(w, http.StatusOK, found)
}

// find finds the order, or the user's orders. A user's id may look like an order's.
func (c *Console) find(ctx context.Context, text string, limit int, cursor string) (FoundView, error) {
	if id, kind, ok := parseID(text); ok && cursor == "" {
		order, err := c.findOrder(ctx, id)
		if err == nil {
			return FoundView{Kind: kind, Orders: []OrderView{order}}, nil
		}
		if !errors.Is(err, ports.ErrNotFound) {
			return FoundView{}, err
		}
	}
	orders, next, err := c.findUser(ctx, text, limit, cursor)
	if err != nil {
		return FoundView{}, err
	}
	found := FoundView{Kind: FoundUser, Orders: orders}
	if len(orders) == 0 && cursor == "" {
		found.Kind = FoundNone
	}
	if next != "" {
		found.NextCursor = &next
	}
	return found, nil
}

// parseID returns the order's id with which an order's or event's id begins.
func parseID(text string) (domain.OrderID, FoundKind, bool) {
	const uuid = 36
	if id, err := domain.ParseOrderID(text); err == nil {
		return id, FoundOrder, true
	}
	if len(text) <= uuid || text[uuid] != '-' {
		return "", "", false
	}
	id, err := domain.ParseOrderID(text[:uuid])
	return id, FoundEvent, err == nil
}

func (c *Console) findOrder(ctx context.Context, id domain.OrderID) (OrderView, error) {
	if c.parts.Orders == nil {
		_, err := c.parts.Office.Trace(ctx, nil, id)
		return OrderView{OrderID: id}, err
	}
	order, err := c.parts.Orders.Get(ctx, id)
	return newOrderView(order), err
}

// findUser returns a page of the user's orders, newest first. Where nobody knows the orders,
// the notifications tell their ids.
func (c *Console) findUser(ctx context.Context, user string, limit int, cursor string) (orders []OrderView, next string, err error) {
	orders = []OrderView{}
	if c.parts.Orders != nil {
		page, err := c.parts.Orders.List(ctx, ports.OrderQuery{UserID: user, Limit: limit, Cursor: cursor})
		for _, order := range page.Orders {
			orders = append(orders, newOrderView(order))
		}
		return orders, page.NextCursor, err
	}
	page, err := c.parts.Control.Notifications(ctx, ports.NotificationQuery{UserID: user, Limit: limit, Cursor: cursor})
	seen := make(map[domain.OrderID]bool)
	for _, n := range page.Notifications {
		if !seen[n.OrderID] {
			seen[n.OrderID] = true
			orders = append(orders, OrderView{OrderID: n.OrderID, UserID: n.UserID})
		}
	}
	return orders, page.NextCursor, err
}
