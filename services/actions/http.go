package actions

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/httpapi"
	"example.com/orderflow/services/internal/wiring"
)

// The sizes of a page.
const (
	defaultPage = 100
	maxPage     = 1000
)

// Handler is the HTTP interface for operators. The public must not reach it:
//
//	GET /actions?action=&by=&since=&until=&limit=&cursor=    what operators did, newest first
//
// Errors are application/problem+json (RFC 9457).
type Handler struct {
	httpapi.API // RequestTimeout and ServeHTTP

	store ports.OperatorActions
}

// NewHandler returns an error if the store is nil. If log is nil, the handler uses
// slog.Default().
func NewHandler(store ports.OperatorActions, log *slog.Logger) (*Handler, error) {
	if err := wiring.Check("handler of operators' actions", wiring.Part{Name: "a store of operators' actions", Given: store}); err != nil {
		return nil, err
	}
	h := &Handler{store: store}
	h.API = httpapi.NewOperatorAPI(httpapi.Routes{"/actions": {http.MethodGet: h.list}}, log)
	return h, nil
}

func (h *Handler) list(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := httpapi.Begin(r, h.RequestTimeout)
	defer cancel()
	parameters, err := httpapi.Query(r,
		httpapi.Parameter{Name: "action", Without: "list those of every kind"},
		httpapi.Parameter{Name: "by", Without: "list those of every operator"},
		httpapi.Parameter{Name: "since", Without: "list those from the beginning"},
		httpapi.Parameter{Name: "until", Without: "list those until now"},
		httpapi.Parameter{Name: "limit", Without: "get 100 per page"},
		httpapi.Parameter{Name: "cursor", Without: "get the first page"},
	)
	if err != nil {
		return err
	}
	filter := Filter{Action: parameters["action"], By: parameters["by"],
		Since: httpapi.TimeParameter(parameters, "since").Text, Until: httpapi.TimeParameter(parameters, "until").Text}
	query, err := filter.Query()
	if err != nil {
		return asProblem(err)
	}
	query.Cursor = parameters["cursor"]
	if query.Limit, err = httpapi.Limit(parameters["limit"], defaultPage, maxPage); err != nil {
		return err
	}
	if err := httpapi.ReservePage(ctx, w, query.Limit); err != nil {
		return err
	}
	page, err := h.store.List(ctx, query)
	if err != nil {
		return asProblem(err)
	}
	return httpapi.WritePage(w, r, page.Actions, page.NextCursor, page.Unreadable, NewView)
}

// asProblem returns the problem of an error, or the error itself if the caller must not see
// its text.
func asProblem(err error) error {
	var invalid *domain.InvalidError
	switch {
	case errors.As(err, &invalid):
		return httpapi.Invalid(invalid.Fields...)
	case errors.Is(err, ports.ErrInvalidCursor):
		return httpapi.Invalid(domain.FieldError{Field: "cursor", Reason: "must be the next_cursor of an earlier page"})
	case errors.Is(err, ports.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return httpapi.Unavailable("the store is unavailable; send the request again", err)
	}
	return err
}

// Filter is a filter of actions as texts, from a request or a command line. Empty texts
// select all.
type Filter struct{ Action, By, Since, Until string }

// Query returns the filter's query. [*domain.InvalidError] is returned when a text is wrong.
func (f Filter) Query() (query ports.OperatorActionQuery, err error) {
	query.Action, query.By = f.Action, f.By
	var invalid domain.InvalidError
	if f.Action != "" && !slices.Contains(Names, f.Action) {
		invalid.Fields = append(invalid.Fields, domain.FieldError{Field: "action", Reason: "must be one of " + strings.Join(Names, ", ")})
	}
	var faults []domain.FieldError
	query.From, query.To, faults = httpapi.Period(httpapi.Bound{Name: "since", Text: f.Since}, httpapi.Bound{Name: "until", Text: f.Until})
	if invalid.Fields = append(invalid.Fields, faults...); len(invalid.Fields) > 0 {
		return ports.OperatorActionQuery{}, &invalid
	}
	return query, nil
}

// View is an action as lists show it, over HTTP and on the command line. Times are RFC 3339,
// in UTC.
type View struct {
	ID      string              `json:"id"`
	At      string              `json:"at"`
	EndedAt string              `json:"ended_at,omitempty"` // missing: it is under way, or its process died
	By      string              `json:"by"`
	Action  string              `json:"action"`
	Target  string              `json:"target,omitempty"`
	Reason  string              `json:"reason,omitempty"`
	Count   int                 `json:"count"`
	Outcome ports.ActionOutcome `json:"outcome"`
	Error   string              `json:"error,omitempty"`
}

// NewView returns the view of the action.
func NewView(a ports.OperatorAction) View {
	v := View{
		ID: a.ID, At: httpapi.FormatTime(a.At), By: a.By, Action: a.Action, Target: a.Target, Reason: a.Reason,
		Count: a.Count, Outcome: a.Outcome, Error: a.Error,
	}
	if !a.EndedAt.IsZero() {
		v.EndedAt = httpapi.FormatTime(a.EndedAt)
	}
	return v
}
