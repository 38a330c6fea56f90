package order

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"log/slog"
	"net/http"
	"sync"
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

// OpenAPI is the OpenAPI 3.1 description of the service's HTTP interface.
//
//go:embed openapi.yaml
var OpenAPI []byte

// AsyncAPI is the AsyncAPI 3 description of the events that the service publishes, as
// adapters/wire writes them.
//
//go:embed asyncapi.yaml
var AsyncAPI []byte

// Handler is the service's HTTP interface:
//
//	POST /order, POST /orders                     places an order; honours Idempotency-Key
//	GET  /orders/{id}                             one order
//	GET  /orders?user_id=&created_from=&created_to=&limit=&cursor=
//	                                              orders, newest first; created_from is included, created_to is not
//	GET  /livez, GET /readyz                      health
//	GET  /openapi.yaml                            the description of this interface, [OpenAPI]
//	GET  /asyncapi.yaml                           the description of the events, [AsyncAPI]
//
// With Authenticate, requests to the paths of orders need credentials. Errors are
// application/problem+json (RFC 9457).
//
// A request that was read is carried out even if its client closes the sending
// side or the whole connection.
type Handler struct {
	httpapi.API // RequestTimeout, ServeHTTP and Stop

	// MaxInFlight bounds the orders that are being placed at once, 1 or more; 0 means
	// DefaultMaxInFlight. Set it before first use.
	MaxInFlight int

	// RateLimit bounds the requests of each client. Set it before first use.
	RateLimit RateLimit

	// Authenticate returns who sends a request to the paths of orders. Its errors are
	// [*Unauthenticated], or [ports.ErrUnavailable] if that can't be known now. nil: all may
	// place and read the orders of all users. Set it before first use.
	//
	// A caller without ReadAll sees only the orders of its User: the answer to another's id is
	// 404. A caller without WriteAll places only orders of its User.
	Authenticate func(*http.Request) (Caller, error)

	limiter  func() *httpapi.Limiter
	refusals httpapi.Refusals
	service  *Service
	log      *slog.Logger
	inFlight atomic.Int64
}

// DefaultMaxInFlight is the default of [Handler.MaxInFlight].
const DefaultMaxInFlight = 4096

// RateLimit is how many requests a client may send to the paths of orders, the health
// checks excluded. The answer to others is 429 with Retry-After. The zero RateLimit means
// no limit, and costs nothing.
//
// A client is an IPv4 address or an IPv6 network of 64 bits, from which the connection
// comes: behind a proxy all are one client. Headers such as X-Forwarded-For don't count,
// because anyone can write them.
type RateLimit struct {
	Requests int           // in a Period, and at once after a quiet Period; 0 or less: no limit
	Period   time.Duration // 1 ms or more; less means 1 s

	// ByAuthorization counts by the user that [Handler.Authenticate] returns. Without
	// Authenticate it counts by the header Authorization: set it only if something in front
	// of the handler checks that header, because a client with a new text for each request
	// has no limit. Requests without a user or header count by address.
	ByAuthorization bool
}

// NewHandler returns the HTTP interface of the service. It is ready while the
// store answers. It reports the broker's state too, but takes orders without it.
// Store and broker may be nil if they can't fail. Without a service NewHandler
// returns an error; without a logger it uses slog.Default().
func NewHandler(service *Service, store, broker ports.Pinger, log *slog.Logger) (*Handler, error) {
	if err := wiring.Check("order handler", wiring.Part{Name: "a service", Given: service}); err != nil {
		return nil, err
	}
	if service.orders == nil {
		return nil, errors.New("order handler needs a service made by NewService, got a zero value")
	}
	log = wiring.Logger(log)
	health := httpapi.NewHealth(
		httpapi.Check{Name: "store", Pinger: store},
		httpapi.Check{Name: "broker", Pinger: broker, Optional: true},
	)
	h := &Handler{service: service, log: log}
	h.limiter = sync.OnceValue(h.newLimiter)
	place := h.guarded(h.place)
	h.API = httpapi.NewAPI(httpapi.Routes{
		"/order":       {http.MethodPost: place},
		"/orders":      {http.MethodPost: place, http.MethodGet: h.guarded(h.list)},
		"/orders/{id}": {http.MethodGet: h.guarded(h.get)},

		"/openapi.yaml":  {http.MethodGet: httpapi.Description(OpenAPI)},
		"/asyncapi.yaml": {http.MethodGet: httpapi.Description(AsyncAPI)},
	}, health, log)
	return h, nil
}

func (h *Handler) newLimiter() *httpapi.Limiter {
	period := h.RateLimit.Period
	if period < time.Millisecond {
		period = time.Second
	}
	return httpapi.NewLimiter(h.RateLimit.Requests, period)
}

func (h *Handler) place(w http.ResponseWriter, r *http.Request, caller Caller) error {
	key, err := readKey(r.Header)
	if err != nil {
		return err
	}
	placement := Placement{UserID: caller.User, IdempotencyKey: key}
	if err := httpapi.ReadObject(w, r, "an order", placement.fields(caller)...); err != nil {
		return err
	}
	if placement.UserID != caller.User && !caller.WriteAll {
		return h.refusals.Forbidden(w, "this token places orders of its own user only", ScopeWriteAll,
			domain.FieldError{Field: "user_id", Reason: "must be the user of the token, or be left out"})
	}
	// Count only requests that were read: slow clients must not use up the bound.
	defer h.inFlight.Add(-1)
	if most := cmp.Or(h.MaxInFlight, DefaultMaxInFlight); h.inFlight.Add(1) > int64(most) {
		return httpapi.Overloaded("too many orders are being placed; this order was not placed")
	}
	ctx, cancel := httpapi.Begin(r, h.RequestTimeout)
	defer cancel()
	order, replayed, err := h.service.Place(ctx, placement)
	if err != nil {
		err = h.problem(ctx, err)
		if p, ok := errors.AsType[*httpapi.Problem](err); ok && p.Code == "unavailable" {
			p.Detail = "the store is unavailable; the order may be stored or not: send the request again with the same Idempotency-Key to find out"
		}
		return err
	}
	if replayed {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	w.Header().Set("Location", "/orders/"+string(order.ID))
	return httpapi.WriteJSON(w, http.StatusCreated, newOrderJSON(order)) // small, so it needs no reservation
}

// PlaceForOperator answers as POST /order does, to an operator who tries the service: the
// rate limit does not count it. Its error is for the API that calls it.
func (h *Handler) PlaceForOperator(w http.ResponseWriter, r *http.Request) error {
	return h.place(w, r, everybody)
}

func (p *Placement) fields(caller Caller) []httpapi.Field {
	return []httpapi.Field{
		{Name: "user_id", To: &p.UserID, Optional: caller.User != ""},
		{Name: "product", To: &p.Product},
		{Name: "quantity", To: &p.Quantity}, // the domain checks its range
	}
}

func (h *Handler) get(w http.ResponseWriter, r *http.Request, caller Caller) error {
	ctx, cancel := httpapi.Begin(r, h.RequestTimeout)
	defer cancel()
	id, err := domain.ParseOrderID(r.PathValue("id"))
	if err != nil {
		return h.problem(ctx, err)
	}
	order, err := h.service.Get(ctx, id)
	if owner := caller.owner(); owner != "" {
		err = hidden(order, err, owner)
	}
	if err != nil {
		return h.problem(ctx, err)
	}
	return httpapi.WriteTagged(w, r, newOrderJSON(order))
}

// hidden returns [ports.ErrNotFound] unless the order is the owner's. Nobody knows whose an
// unreadable order is.
func hidden(order domain.Order, err error, owner string) error {
	if err == nil && order.UserID != owner || errors.As(err, new(*ports.UnreadableError)) {
		return ports.ErrNotFound
	}
	return err
}

func (h *Handler) list(w http.ResponseWriter, r *http.Request, caller Caller) error {
	ctx, cancel := httpapi.Begin(r, h.RequestTimeout)
	defer cancel()
	query, err := httpapi.Query(r,
		httpapi.Parameter{Name: "user_id", Without: "get the orders of all users"},
		httpapi.Parameter{Name: "created_from", Without: "get orders from the beginning"},
		httpapi.Parameter{Name: "created_to", Without: "get orders until now"},
		httpapi.Parameter{Name: "limit", Without: "get 20 per page"},
		httpapi.Parameter{Name: "cursor", Without: "get the first page"},
	)
	if err != nil {
		return err
	}
	userID := cmp.Or(query["user_id"], caller.owner())
	if owner := caller.owner(); owner != "" && userID != owner {
		return h.refusals.Forbidden(w, "this token reads orders of its own user only", ScopeReadAll,
			domain.FieldError{Field: "user_id", Reason: "must be the user of the token, or be left out"})
	}
	limit, err := httpapi.Limit(query["limit"], defaultPage, largestPage)
	if err != nil {
		return err
	}
	from, to, faults := httpapi.Period(httpapi.TimeParameter(query, "created_from"), httpapi.TimeParameter(query, "created_to"))
	if len(faults) > 0 {
		return httpapi.Invalid(faults...)
	}
	if err := httpapi.ReservePage(ctx, w, limit); err != nil {
		return err
	}
	page, err := h.service.List(ctx, ports.OrderQuery{
		UserID: userID, CreatedFrom: from, CreatedTo: to, Limit: limit, Cursor: query["cursor"],
	})
	if err != nil {
		return h.problem(ctx, err)
	}
	return httpapi.WritePage(w, r, page.Orders, page.NextCursor, page.Unreadable, newOrderJSON)
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

// problem returns the answer to an error of the use cases. It returns an unknown
// error unchanged; the answer to that is 500.
func (h *Handler) problem(ctx context.Context, err error) error { return problem(ctx, h.log, err) }

func problem(ctx context.Context, log *slog.Logger, err error) error {
	var invalid *domain.InvalidError
	var unreadable *ports.UnreadableError
	switch {
	case errors.As(err, &unreadable):
		log.ErrorContext(ctx, "a stored order can't be read", "order_id", unreadable.ID, "error", err)
		return httpapi.Unreadable("the order", unreadable)
	case errors.As(err, &invalid):
		return httpapi.Invalid(invalid.Fields...)
	case errors.Is(err, ErrKeyReused):
		return &httpapi.Problem{
			Status: http.StatusUnprocessableEntity, Code: "idempotency_key_reused",
			Detail: "this Idempotency-Key was used before, by the same user, for another order; use a new key for each order",
			Errors: []domain.FieldError{{Field: keyHeader, Reason: "was used before for another order"}},
		}
	case errors.Is(err, ports.ErrNotFound):
		return &httpapi.Problem{Status: http.StatusNotFound, Code: "not_found", Detail: "no order has this id"}
	case errors.Is(err, ports.ErrInvalidCursor):
		return httpapi.Invalid(domain.FieldError{Field: "cursor", Reason: "must be the next_cursor of an earlier page of the same list"})
	case errors.Is(err, ports.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return httpapi.Unavailable("the store is unavailable; send the request again", err)
	}
	return err
}
