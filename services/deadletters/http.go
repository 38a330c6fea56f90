package deadletters

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/httpapi"
	"example.com/orderflow/services/internal/wiring"
)

const (
	defaultPage = 100
	maxPage     = 1000 // dead letters in a page, or in one decision
)

// Handler is the HTTP interface for operators. The public must not reach it:
//
//	GET  /dead-letters           waiting ones, oldest first; or state=replayed, discarded, all
//	GET  /dead-letters/groups    how many, by channel and by what their reasons have in common
//	GET  /dead-letters/{id}      one, with its message
//	POST /dead-letters/replay    {"ids":[…]}, {"all":true}, or the fields of a filter
//	POST /dead-letters/discard   the same
//	POST /dead-letters/restore   the same, for discarded ones
//	POST /dead-letters/jobs      "action":"replay", "rate":50, "expect":123, and the same: at a bounded rate
//	GET  /dead-letters/jobs      the latest jobs; GET /dead-letters/jobs/{id} is one
//	POST /dead-letters/jobs/{id}/pause, …/resume, …/stop
//
// A filter has one or more of channel, type, user_id, order_id, reason, group, since and
// until. Lists and groups have these as parameters.
//
// A decision also takes "dry_run":true, "why", and "by", its author: by default the
// client's address. It covers "limit" dead letters at most, by default and at most
// 1000, from "cursor" on; its answer has the next cursor. [httpapi.ForOperators]
// protects the handler from web pages.
//
// The header Unreadable-Records is the number of unreadable records that a list or
// a decision has skipped.
//
// Errors are application/problem+json (RFC 9457).
type Handler struct {
	httpapi.API // RequestTimeout and ServeHTTP

	service *Service
	showing chan struct{} // bounds them to one at a time: a dead letter may have 15 MiB
}

// NewHandler returns an error if the service is nil. If log is nil, the handler uses
// slog.Default().
func NewHandler(service *Service, log *slog.Logger) (*Handler, error) {
	if err := wiring.Check("dead-letter handler", wiring.Part{Name: "a service", Given: service}); err != nil {
		return nil, err
	}
	if service.store == nil {
		return nil, errors.New("dead-letter handler needs a service made by NewService, got a zero value")
	}
	h := &Handler{service: service, showing: make(chan struct{}, 1)}
	routes := httpapi.Routes{
		"/dead-letters":        {http.MethodGet: h.list},
		"/dead-letters/groups": {http.MethodGet: h.groups},
		"/dead-letters/{id}":   {http.MethodGet: h.show},

		"/dead-letters/jobs":             {http.MethodGet: h.listJobs, http.MethodPost: h.startJob},
		"/dead-letters/jobs/{id}":        {http.MethodGet: h.showJob},
		"/dead-letters/jobs/{id}/pause":  {http.MethodPost: h.controlJob(service.PauseJob)},
		"/dead-letters/jobs/{id}/resume": {http.MethodPost: h.controlJob(service.ResumeJob)},
		"/dead-letters/jobs/{id}/stop":   {http.MethodPost: h.controlJob(service.StopJob)},
	}
	for _, action := range []Action{Replay, Discard, Restore} {
		routes["/dead-letters/"+string(action)] = httpapi.Methods{http.MethodPost: h.decide(action)}
	}
	h.API = httpapi.NewOperatorAPI(routes, log)
	return h, nil
}

func (h *Handler) list(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := httpapi.Begin(r, h.RequestTimeout)
	defer cancel()
	query, parameters, err := readQuery(r,
		httpapi.Parameter{Name: "limit", Without: "get 100 per page"},
		httpapi.Parameter{Name: "cursor", Without: "get the first page"},
	)
	if err != nil {
		return err
	}
	query.Cursor = parameters["cursor"]
	if query.Limit, err = httpapi.Limit(parameters["limit"], defaultPage, maxPage); err != nil {
		return err
	}
	if err := httpapi.ReservePage(ctx, w, query.Limit); err != nil {
		return err
	}
	page, err := h.service.List(ctx, query)
	if err != nil {
		return asProblem(err)
	}
	return httpapi.WritePage(w, r, page.Records, page.NextCursor, page.Unreadable, NewSummary)
}

// readQuery reads the state and the filter of a list or of groups. It returns the parameters
// by name, with those beside.
func readQuery(r *http.Request, beside ...httpapi.Parameter) (query ports.DeadLetterQuery, parameters map[string]string, err error) {
	parameters, err = httpapi.Query(r, append([]httpapi.Parameter{
		{Name: "state", Without: "list waiting ones"},
		{Name: "channel", Without: "list those of any channel"},
		{Name: "type", Without: "list those of any type"},
		{Name: "user_id", Without: "list those of any user"},
		{Name: "order_id", Without: "list those of any order"},
		{Name: "reason", Without: "list those with any reason"},
		{Name: "group", Without: "list those of any group"},
		{Name: "since", Without: "list those from the beginning"},
		{Name: "until", Without: "list those until now"},
	}, beside...)...)
	if err != nil {
		return query, nil, err
	}
	query, err = Filter{
		Channel: parameters["channel"], Type: parameters["type"], UserID: parameters["user_id"], OrderID: parameters["order_id"],
		Reason: parameters["reason"], Group: parameters["group"],
		Since: httpapi.TimeParameter(parameters, "since").Text, Until: httpapi.TimeParameter(parameters, "until").Text,
	}.Query()
	if err != nil {
		return query, nil, asProblem(err)
	}
	if query.State, err = ParseState(parameters["state"]); err != nil {
		return query, nil, httpapi.Invalid(domain.FieldError{Field: "state", Reason: err.Error()})
	}
	return query, parameters, nil
}

func (h *Handler) groups(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := httpapi.Begin(r, h.RequestTimeout)
	defer cancel()
	query, _, err := readQuery(r)
	if err != nil {
		return err
	}
	if err := httpapi.ReservePage(ctx, w, ports.MaxDeadLetterGroups); err != nil {
		return err
	}
	groups, err := h.service.Groups(ctx, query)
	if err != nil {
		return asProblem(err)
	}
	return httpapi.WriteJSON(w, http.StatusOK, NewGroupsView(groups))
}

const mustBeOrderID = "must be an order's id: a UUID with hyphens"

func (h *Handler) show(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := httpapi.Begin(r, h.RequestTimeout)
	defer cancel()
	select {
	case h.showing <- struct{}{}:
		defer func() { <-h.showing }()
	case <-ctx.Done():
		return httpapi.Overloaded("the service shows one dead letter at a time, and is busy with another")
	}
	record, err := h.service.Get(ctx, r.PathValue("id"))
	if err != nil {
		return asProblem(err)
	}
	body := record.Message.Body
	const large = 64 << 10
	if len(body) <= large {
		return httpapi.WriteJSON(w, http.StatusOK, NewView(record))
	}
	record.Message.Body = nil
	view := NewView(record)
	view.Body = nil
	httpapi.WriteLarge(w, view, "body", body)
	return nil
}

// asProblem returns the problem of an error, or the error itself if the caller must
// not see its text.
func asProblem(err error) error {
	if p := problem(err); p != nil {
		return p
	}
	return err
}

// problem returns the problem of an error, or nil for an unknown error.
func problem(err error) *httpapi.Problem {
	var unreadable *ports.UnreadableError
	var invalid *domain.InvalidError
	switch {
	case errors.As(err, &invalid):
		return httpapi.Invalid(invalid.Fields...)
	case errors.Is(err, ErrNotRecorded):
		return &httpapi.Problem{Code: "not_noted", Detail: ErrNotRecorded.Error() + ": it did not answer, or another operator has decided; look at the dead letter again"}
	case errors.Is(err, ErrWrongState):
		return &httpapi.Problem{Code: "wrong_state", Detail: err.Error()}
	case errors.As(err, &unreadable):
		return httpapi.Unreadable("the dead letter", unreadable)
	case errors.Is(err, ErrBusy):
		return conflict("busy", fmt.Sprintf("%d jobs have not ended: wait for one, or stop one", MaxJobs))
	case errors.Is(err, ErrTooMany):
		return conflict("changed", err.Error()+"; look at them again")
	case errors.Is(err, ErrJobEnded):
		return conflict("ended", "the job has ended, or was stopped")
	case errors.Is(err, ErrNotRunning):
		return httpapi.Unavailable("the service is starting or stopping", err)
	case errors.Is(err, ports.ErrNotFound):
		return &httpapi.Problem{
			Status: http.StatusNotFound, Code: "not_found",
			Detail: "no dead letter has this id; GET /dead-letters?order_id= lists those of an order",
		}
	case errors.Is(err, ports.ErrChanged):
		return &httpapi.Problem{Code: "changed", Detail: "it has changed: it failed again, or another operator has decided"}
	case errors.Is(err, ports.ErrInvalidCursor):
		return httpapi.Invalid(domain.FieldError{Field: "cursor", Reason: "must be the next_cursor of an earlier page"})
	case errors.Is(err, ports.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return httpapi.Unavailable("the store is unavailable; send the request again", err)
	}
	return nil
}

func conflict(code, detail string) *httpapi.Problem {
	return &httpapi.Problem{Status: http.StatusConflict, Code: code, Detail: detail}
}
