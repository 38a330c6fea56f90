package notification

import (
	"context"
	_ "embed"
	"errors"
	"log/slog"
	"net/http"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/httpapi"
	"example.com/orderflow/services/internal/wiring"
)

// OpenAPI is the OpenAPI 3.1 description of the service's HTTP interface, at both of its
// addresses, and of the webhooks that it sends.
//
//go:embed openapi.yaml
var OpenAPI []byte

// Handler is the service's HTTP interface:
//
//	GET /notifications?order_id=&user_id=&channel=&state=&from=&to=&limit=&cursor=
//	                                 notifications: an order's oldest first, others newest first
//	GET /livez, GET /readyz          health
//	GET /openapi.yaml                the description of this interface, [OpenAPI]
//
// A list needs at least one filter. Its answers have no addresses. Errors are
// application/problem+json (RFC 9457).
//
// A request that was read is answered even if its client closes the sending side.
type Handler struct {
	httpapi.API // RequestTimeout, ServeHTTP and Stop

	// Authenticate returns who sends a request to /notifications. Its errors are
	// [*Unauthenticated], or [ports.ErrUnavailable] if that can't be known now. nil: all may
	// read the notifications of all users. Set it before first use.
	//
	// A caller without ReadAll sees only the notifications of its User, also of an order_id.
	Authenticate func(*http.Request) (Caller, error)

	control  *Control
	log      *slog.Logger
	refusals httpapi.Refusals
}

// NewHandler returns the public HTTP interface. It is ready while the store, the
// broker and the Pinger of each channel answer. Store and broker may be nil if they
// can't fail. Without a control NewHandler returns an error; without a logger it uses
// slog.Default().
func NewHandler(control *Control, store, broker ports.Pinger, log *slog.Logger) (*Handler, error) {
	if err := checkControl("notification handler", control); err != nil {
		return nil, err
	}
	checks := []httpapi.Check{{Name: "store", Pinger: store}, {Name: "broker", Pinger: broker}}
	for _, channel := range control.channels {
		if channel.Pinger != nil {
			checks = append(checks, httpapi.Check{Name: channel.Name, Pinger: channel.Pinger})
		}
	}
	h := &Handler{control: control, log: wiring.Logger(log)}
	h.API = httpapi.NewAPI(httpapi.Routes{
		"/notifications": {http.MethodGet: h.notifications},
		"/openapi.yaml":  {http.MethodGet: httpapi.Description(OpenAPI)},
	}, httpapi.NewHealth(checks...), log)
	return h, nil
}

func checkControl(what string, control *Control) error {
	if err := wiring.Check(what, wiring.Part{Name: "a control", Given: control}); err != nil {
		return err
	}
	if control.store.Deliveries == nil {
		return errors.New(what + " needs a control made by NewControl, got a zero value")
	}
	return nil
}

const (
	defaultPage = 20
	largestPage = 100
)

func (h *Handler) notifications(w http.ResponseWriter, r *http.Request) error {
	caller, err := h.callerOf(r)
	if err != nil {
		return h.refusals.Unauthenticated(w, r, err, h.log)
	}
	ctx, cancel := httpapi.Begin(r, h.RequestTimeout)
	defer cancel()
	query, filtered, err := readQuery(r)
	if err != nil {
		return err
	}
	if !caller.own(&query) {
		return h.refusals.Forbidden(w, "this token reads notifications of its own user only", ScopeReadAll,
			domain.FieldError{Field: "user_id", Reason: "must be the user of the token, or be left out"})
	}
	if !filtered && caller.ReadAll {
		return httpapi.Invalid(domain.FieldError{
			Field: "order_id", Reason: "must be an order's id, or another of these must be given: user_id, channel, state, from, to",
		})
	}
	if err := reservePage(ctx, w, query.Limit); err != nil {
		return err
	}
	page, err := h.control.Notifications(ctx, query)
	if err != nil {
		return problem(err)
	}
	return httpapi.WritePage(w, r, page.Notifications, page.NextCursor, page.Unreadable, newPublicView)
}

// readQuery reads the query of a list, and reports whether it has a filter.
func readQuery(r *http.Request) (query ports.NotificationQuery, filtered bool, err error) {
	parameters, err := httpapi.Query(r,
		httpapi.Parameter{Name: "order_id", Without: "get those of any order"},
		httpapi.Parameter{Name: "user_id", Without: "get those of any user"},
		httpapi.Parameter{Name: "channel", Without: "get those of any channel"},
		httpapi.Parameter{Name: "state", Without: "get those in any state"},
		httpapi.Parameter{Name: "from", Without: "get those from the beginning"},
		httpapi.Parameter{Name: "to", Without: "get those until now"},
		httpapi.Parameter{Name: "limit", Without: "get 20 per page"},
		httpapi.Parameter{Name: "cursor", Without: "get the first page"},
	)
	if err != nil {
		return query, false, err
	}
	filter := Filter{
		OrderID: parameters["order_id"], UserID: parameters["user_id"], Channel: parameters["channel"],
		State: parameters["state"], From: httpapi.TimeParameter(parameters, "from").Text, To: httpapi.TimeParameter(parameters, "to").Text,
	}
	query, err = filter.Query()
	if err != nil {
		return query, false, problem(err)
	}
	query.Cursor = parameters["cursor"]
	query.Limit, err = httpapi.Limit(parameters["limit"], defaultPage, largestPage)
	return query, filter != Filter{}, err
}

// reservePage reserves memory for a page of notifications. Each counts as several items,
// because of its attempts.
func reservePage(ctx context.Context, w http.ResponseWriter, limit int) error {
	const itemsEach = 4
	return httpapi.ReservePage(ctx, w, limit*itemsEach)
}

// problem returns the answer to an error of the use cases. It returns an unknown
// error unchanged; the answer to that is 500.
func problem(err error) error {
	var invalid *domain.InvalidError
	var unreadable *ports.UnreadableError
	switch {
	case errors.As(err, &invalid):
		return httpapi.Invalid(invalid.Fields...)
	case errors.As(err, &unreadable):
		return httpapi.Unreadable("the contact", unreadable)
	case errors.Is(err, ErrUnknownChannel):
		return &httpapi.Problem{Status: http.StatusNotFound, Code: "not_found", Detail: err.Error()}
	case errors.Is(err, ports.ErrNotFound):
		return &httpapi.Problem{Status: http.StatusNotFound, Code: "not_found", Detail: "the user has no contact"}
	case errors.Is(err, ErrInUse):
		return conflict("in_use", err.Error())
	case errors.Is(err, ports.ErrChanged):
		return conflict("changed", "notifiers change this pause at the same time; send the request again")
	case errors.Is(err, ports.ErrInvalidCursor):
		return httpapi.Invalid(domain.FieldError{Field: "cursor", Reason: "must be the next_cursor of an earlier page"})
	case errors.Is(err, ports.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return httpapi.Unavailable("the store is unavailable; send the request again", err)
	}
	return err
}

func conflict(code, detail string) *httpapi.Problem {
	return &httpapi.Problem{Status: http.StatusConflict, Code: code, Detail: detail}
}
