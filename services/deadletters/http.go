package deadletters

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/httpapi"
	"example.com/orderflow/services/internal/wiring"
)

const (
	defaultPage = 100
	largestPage = 1000 // letters in a page, or to decide about in one request

	largeBody = 64 << 10 // is shown as it is written
)

// Handler is the HTTP interface for operators, which the public must not
// reach:
//
//	GET  /dead-letters?state=&order_id=&reason=&limit=&cursor=    waiting ones, oldest first; or replayed, discarded, all
//	GET  /dead-letters/{id}                                       one, with its message
//	POST /dead-letters/replay                                     {"ids":[…]}, {"order_id":"…"}, {"reason":"…"} or {"all":true}
//	POST /dead-letters/discard                                    the same
//	POST /dead-letters/restore                                    the same, of discarded ones
//
// A decision takes "dry_run":true as well, "by", who decides, which is the
// client's address otherwise, and up to "limit" letters from "cursor" on; its
// answer has the cursor to go on from. A request that changes state is refused
// if it comes from a browser's page of another origin.
//
// The header Unreadable-Records says how many letters a list or a decision has
// left out, for their records can't be read.
//
// Errors are application/problem+json (RFC 9457).
type Handler struct {
	RequestTimeout time.Duration // how long a request's work may take, once it is read; 0: 10 s. To be set before first use

	routes http.Handler
}

// NewHandler returns the HTTP interface of the dead letters. Without them
// it returns an error; without a logger it uses slog.Default().
func NewHandler(letters *Service, log *slog.Logger) (*Handler, error) {
	if err := wiring.Check("dead-letter handler", wiring.Part{Name: "a service", Given: letters}); err != nil {
		return nil, err
	}
	if letters.store == nil {
		return nil, errors.New("dead-letter handler needs a service made by NewService, got a zero value")
	}
	log = wiring.Logger(log)
	h := new(Handler)
	a := adminAPI{letters, h, make(chan struct{}, 1)}
	routes := httpapi.Routes{
		"/dead-letters":      {http.MethodGet: a.list},
		"/dead-letters/{id}": {http.MethodGet: a.get},
	}
	for _, decision := range []Decision{Replay, Discard, Restore} {
		routes["/dead-letters/"+string(decision)] = httpapi.Methods{http.MethodPost: a.decide(decision)}
	}
	h.routes = httpapi.ForOperators(httpapi.NewHandler(routes, nil, log), log)
	return h, nil
}

// ServeHTTP answers a request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.routes.ServeHTTP(w, r) }

type adminAPI struct {
	letters *Service
	handler *Handler
	showing chan struct{} // a letter may have 15 MiB: one is shown at a time
}

func (a adminAPI) begin(r *http.Request) (context.Context, context.CancelFunc) {
	return httpapi.Begin(r, a.handler.RequestTimeout)
}

func (a adminAPI) list(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := a.begin(r)
	defer cancel()
	query, err := httpapi.Query(r,
		httpapi.Parameter{Name: "state", Without: "have those that wait"},
		httpapi.Parameter{Name: "order_id", Without: "have those of any order"},
		httpapi.Parameter{Name: "reason", Without: "have those of any reason"},
		httpapi.Parameter{Name: "limit", Without: "have 100 to a page"},
		httpapi.Parameter{Name: "cursor", Without: "have the first page"},
	)
	if err != nil {
		return err
	}
	limit, err := httpapi.Limit(query["limit"], defaultPage, largestPage)
	if err != nil {
		return err
	}
	state, err := ParseState(query["state"])
	if err != nil {
		return httpapi.Invalid(domain.FieldError{Field: "state", Reason: err.Error()})
	}
	var order domain.OrderID
	if text, given := query["order_id"]; given {
		if order, err = domain.ParseOrderID(text); err != nil {
			return httpapi.Invalid(domain.FieldError{Field: "order_id", Reason: noOrderID})
		}
	}
	if err := httpapi.ReservePage(ctx, w, limit); err != nil {
		return err
	}
	page, err := a.letters.List(ctx, ports.DeadLetterQuery{
		State: state, OrderID: order, Reason: query["reason"], Limit: limit, Cursor: query["cursor"],
	})
	if err != nil {
		return deadLetterProblem(err)
	}
	return httpapi.WritePage(w, page.Records, page.NextCursor, page.Unreadable, NewSummary)
}

const noOrderID = "must be an order's id: a UUID with hyphens"

// ParseState reads the name of a state of dead letters: those that wait if it
// is empty, every state if it is "all".
func ParseState(name string) (ports.DeadLetterState, error) {
	states := []ports.DeadLetterState{ports.Waiting, ports.Replayed, ports.Discarded}
	switch state := ports.DeadLetterState(name); {
	case name == "":
		return ports.Waiting, nil
	case name == "all":
		return "", nil
	case slices.Contains(states, state):
		return state, nil
	}
	return "", errors.New("must be waiting, replayed, discarded or all")
}

func (a adminAPI) get(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := a.begin(r)
	defer cancel()
	select {
	case a.showing <- struct{}{}:
		defer func() { <-a.showing }()
	case <-ctx.Done():
		return httpapi.Overloaded("another dead letter is being shown")
	}
	letter, err := a.letters.Get(ctx, r.PathValue("id"))
	if err != nil {
		return deadLetterProblem(err)
	}
	if len(letter.Message.Body) <= largeBody {
		return httpapi.WriteJSON(w, http.StatusOK, NewView(letter))
	}
	body := letter.Message.Body
	letter.Message.Body = nil
	view := NewView(letter)
	view.Body = nil
	httpapi.WriteLarge(w, view, "body", body)
	return nil
}

const noLetter = "there is no dead letter with this id; GET /dead-letters?order_id= lists those of an order"

func whyUnreadable(err *ports.UnreadableError) string {
	return "the letter's record can't be read: " + err.Field + " " + err.Reason
}

func isAway(err error) bool {
	return errors.Is(err, ports.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

func deadLetterProblem(err error) error {
	var unreadable *ports.UnreadableError
	switch {
	case errors.As(err, &unreadable):
		return &httpapi.Problem{
			Status: http.StatusInternalServerError, Code: "unreadable", Detail: whyUnreadable(unreadable),
			Errors: []domain.FieldError{{Field: unreadable.Field, Reason: unreadable.Reason}},
		}
	case errors.Is(err, ports.ErrNotFound):
		return &httpapi.Problem{Status: http.StatusNotFound, Code: "not_found", Detail: noLetter}
	case errors.Is(err, ports.ErrInvalidCursor):
		return httpapi.Invalid(domain.FieldError{Field: "cursor", Reason: "must be the next_cursor of a page before"})
	case isAway(err):
		return httpapi.Unavailable("the store is not available")
	}
	return err
}
