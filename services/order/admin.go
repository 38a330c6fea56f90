package order

import (
	"errors"
	"log/slog"
	"net/http"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/httpapi"
	"example.com/orderflow/services/internal/wiring"
)

// AdminHandler is the HTTP interface for operators, and for the console of a notifier. The
// public must not reach it:
//
//	GET /trace/{id}                                 an order, and whether its event is published
//	GET /users/{user_id}/orders?limit=&cursor=      a user's orders, newest first
//
// Errors are application/problem+json (RFC 9457).
type AdminHandler struct {
	httpapi.API // RequestTimeout and ServeHTTP

	service *Service
	log     *slog.Logger
}

// NewAdminHandler returns an error without a service. Without a logger it uses
// slog.Default().
func NewAdminHandler(service *Service, log *slog.Logger) (*AdminHandler, error) {
	if err := wiring.Check("order admin handler", wiring.Part{Name: "a service", Given: service}); err != nil {
		return nil, err
	}
	if service.orders == nil {
		return nil, errors.New("order admin handler needs a service made by NewService, got a zero value")
	}
	log = wiring.Logger(log)
	h := &AdminHandler{service: service, log: log}
	h.API = httpapi.NewOperatorAPI(httpapi.Routes{
		"/trace/{id}":             {http.MethodGet: h.trace},
		"/users/{user_id}/orders": {http.MethodGet: h.list},
	}, log)
	return h, nil
}

// traceJSON is an order with the place of its event.
type traceJSON struct {
	Order   orderJSON      `json:"order"`
	EventID domain.EventID `json:"event_id"`
	Event   string         `json:"event"`             // waiting or published
	Claimed *claimJSON     `json:"claimed,omitempty"` // of an event that waits
}

// claimJSON is a claim on an event.
type claimJSON struct {
	Process string `json:"process,omitempty"` // empty: nobody; it is free from Until on
	Until   string `json:"until"`
}

func (h *AdminHandler) trace(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := httpapi.Begin(r, h.RequestTimeout)
	defer cancel()
	id, err := domain.ParseOrderID(r.PathValue("id"))
	if err != nil {
		return problem(ctx, h.log, err)
	}
	order, err := h.service.Get(ctx, id)
	if err != nil {
		return problem(ctx, h.log, err)
	}
	answer := traceJSON{Order: newOrderJSON(order), EventID: order.Created().ID, Event: "waiting"}
	switch holder, err := h.service.relay.outbox.Holder(ctx, answer.EventID); {
	case errors.Is(err, ports.ErrNotFound):
		answer.Event = "published"
	case err != nil:
		return problem(ctx, h.log, err)
	case holder != ports.Holder{}:
		answer.Claimed = &claimJSON{holder.Process, httpapi.FormatTime(holder.Until)}
	}
	return httpapi.WriteJSON(w, http.StatusOK, answer)
}

func (h *AdminHandler) list(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := httpapi.Begin(r, h.RequestTimeout)
	defer cancel()
	query, err := httpapi.Query(r,
		httpapi.Parameter{Name: "limit", Without: "get 20 per page"},
		httpapi.Parameter{Name: "cursor", Without: "get the first page"},
	)
	if err != nil {
		return err
	}
	limit, err := httpapi.Limit(query["limit"], defaultPage, largestPage)
	if err != nil {
		return err
	}
	if err := httpapi.ReservePage(ctx, w, limit); err != nil {
		return err
	}
	page, err := h.service.List(ctx, ports.OrderQuery{UserID: r.PathValue("user_id"), Limit: limit, Cursor: query["cursor"]})
	if err != nil {
		return problem(ctx, h.log, err)
	}
	return httpapi.WritePage(w, r, page.Orders, page.NextCursor, page.Unreadable, newOrderJSON)
}
