package order

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/httpapi"
	"example.com/orderflow/services/internal/wiring"
)

const (
	defaultPage = 20
	largestPage = 100
)

// Handler is the service's HTTP interface:
//
//	POST /order, POST /orders                     places an order; honours Idempotency-Key
//	GET  /orders/{id}                             one order
//	GET  /orders?user_id=&limit=&cursor=          orders, newest first
//	GET  /livez, GET /readyz                      health
//
// Errors are application/problem+json (RFC 9457).
//
// What was read is carried out, within the request's time, though its client
// has closed its sending side, or the whole connection: an order whose client
// is gone is kept.
type Handler struct {
	// To be set before first use, if at all.
	RequestTimeout time.Duration // how long a request's work may take, once it is read; 0: 10 s
	MaxInFlight    int           // how many orders may be in hand; 0: DefaultMaxInFlight

	routes   http.Handler
	health   *httpapi.Health
	service  *Service
	log      *slog.Logger
	inFlight atomic.Int64
}

// DefaultMaxInFlight is how many orders may be in hand where nothing else is
// set.
const DefaultMaxInFlight = 4096

// NewHandler returns the HTTP interface of the service. It is ready while the
// store answers; whether the broker does is only told, for orders are taken
// without it. Either may be nil, if there is none that could be away. Without a
// service it returns an error; without a logger it uses slog.Default().
func NewHandler(service *Service, store, broker ports.Pinger, log *slog.Logger) (*Handler, error) {
	if err := wiring.Check("order handler", wiring.Part{Name: "a service", Given: service}); err != nil {
		return nil, err
	}
	if service.orders == nil {
		return nil, errors.New("order handler needs a service that NewService has made, got a zero value")
	}
	log = wiring.Logger(log)
	health := httpapi.NewHealth(
		httpapi.Check{Name: "store", Pinger: store},
		httpapi.Check{Name: "broker", Pinger: broker, Optional: true},
	)
	h := &Handler{health: health, service: service, log: log}
	h.routes = httpapi.NewHandler(httpapi.Routes{
		"/order":       {http.MethodPost: h.place},
		"/orders":      {http.MethodPost: h.place, http.MethodGet: h.list},
		"/orders/{id}": {http.MethodGet: h.get},
	}, health, log)
	return h, nil
}

// ServeHTTP answers a request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.routes.ServeHTTP(w, r) }

// Stop makes /readyz answer 503 from now on, and each answer the last of its
// connection: the first step of a shutdown. All else is answered as before.
func (h *Handler) Stop() { h.health.Stop() }

func (h *Handler) place(w http.ResponseWriter, r *http.Request) error {
	key, err := readKey(r.Header)
	if err != nil {
		return err
	}
	placement, err := readPlacement(w, r)
	if err != nil {
		return err
	}
	placement.IdempotencyKey = key
	// From here on, for a client that is slow to send is in nobody's way.
	defer h.inFlight.Add(-1)
	if most := cmp.Or(h.MaxInFlight, DefaultMaxInFlight); h.inFlight.Add(1) > int64(most) {
		return httpapi.Overloaded("too many orders are in hand; this one was not taken")
	}
	ctx, cancel := httpapi.Begin(r, h.RequestTimeout)
	defer cancel()
	order, replayed, err := h.service.Place(ctx, placement)
	if err != nil {
		return h.problem(ctx, err)
	}
	if replayed {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	w.Header().Set("Location", "/orders/"+string(order.ID))
	return httpapi.WriteJSON(w, http.StatusCreated, newOrderJSON(order)) // small: never refused
}

func (h *Handler) get(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := httpapi.Begin(r, h.RequestTimeout)
	defer cancel()
	id, err := domain.ParseOrderID(r.PathValue("id"))
	if err != nil {
		return h.problem(ctx, err)
	}
	order, err := h.service.Get(ctx, id)
	if err != nil {
		return h.problem(ctx, err)
	}
	return httpapi.WriteJSON(w, http.StatusOK, newOrderJSON(order))
}

func (h *Handler) list(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := httpapi.Begin(r, h.RequestTimeout)
	defer cancel()
	query, err := httpapi.Query(r,
		httpapi.Parameter{Name: "user_id", Without: "have everybody's orders"},
		httpapi.Parameter{Name: "limit", Without: "have 20 to a page"},
		httpapi.Parameter{Name: "cursor", Without: "have the first page"},
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
	page, err := h.service.List(ctx, ports.OrderQuery{
		UserID: query["user_id"], Limit: limit, Cursor: query["cursor"],
	})
	if err != nil {
		return h.problem(ctx, err)
	}
	return httpapi.WritePage(w, page.Orders, page.NextCursor, page.Unreadable, newOrderJSON)
}

type orderJSON struct {
	ID        domain.OrderID `json:"id"`
	UserID    string         `json:"user_id"`
	Product   string         `json:"product"`
	Quantity  int            `json:"quantity"`
	CreatedAt string         `json:"created_at"`
}

func newOrderJSON(o domain.Order) orderJSON {
	return orderJSON{
		ID: o.ID, UserID: o.UserID, Product: o.Product, Quantity: o.Quantity,
		CreatedAt: httpapi.FormatTime(o.CreatedAt),
	}
}

// problem turns an error of the use cases into an answer; one that it does not
// know stays as it is, and is answered with 500.
func (h *Handler) problem(ctx context.Context, err error) error {
	var invalid *domain.InvalidError
	var unreadable *ports.UnreadableError
	switch {
	case errors.As(err, &unreadable):
		h.log.ErrorContext(ctx, "an order can't be read", "order_id", unreadable.ID, "error", err)
		return httpapi.Unreadable("the order", unreadable)
	case errors.As(err, &invalid):
		return httpapi.Invalid(invalid.Fields...)
	case errors.Is(err, ErrKeyReused):
		return &httpapi.Problem{
			Status: http.StatusUnprocessableEntity, Code: "idempotency_key_reused",
			Detail: "this Idempotency-Key was used before, by the same user, for another order; give each order a key of its own",
			Errors: []domain.FieldError{{Field: "Idempotency-Key", Reason: "was used before for another order"}},
		}
	case errors.Is(err, ports.ErrNotFound):
		return &httpapi.Problem{Status: http.StatusNotFound, Code: "not_found", Detail: "there is no order with this id"}
	case errors.Is(err, ports.ErrInvalidCursor):
		return httpapi.Invalid(domain.FieldError{Field: "cursor", Reason: "must be the next_cursor of a page before"})
	case errors.Is(err, ports.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return httpapi.Unavailable("the store is not available; an order sent with this request may have been kept or not: sending it again with the same Idempotency-Key finds out")
	}
	return err
}
