package deadletters

import (
	"context"
	"net/http"
	"slices"
	"unicode/utf8"

	"example.com/orderflow/domain"
	"example.com/orderflow/services/access"
	"example.com/orderflow/services/internal/httpapi"
)

// decisionRequest is the body of a decision.
type decisionRequest struct {
	Decision
	Selection
	Limit  int
	Cursor string
}

const mustNotBeEmpty = "must not be empty"

func (d *decisionRequest) fields(r *http.Request) []httpapi.Field {
	return append(append(d.Selection.fields(), d.Decision.fields(r)...),
		httpapi.Field{Name: "limit", Optional: true, To: &d.Limit, Must: "must be a whole number from 1 to 1000", Valid: func() bool { return d.Limit >= 1 && d.Limit <= maxPage }},
		httpapi.Field{Name: "cursor", Optional: true, To: &d.Cursor, Must: mustNotBeEmpty, Valid: func() bool { return d.Cursor != "" }},
	)
}

// fields returns the fields that select. They refuse empty values: a client whose variable
// is empty must not select more than it meant to.
func (s *Selection) fields() []httpapi.Field {
	text := func(name string, to *string) httpapi.Field {
		return httpapi.Field{Name: name, Optional: true, To: to, Must: mustNotBeEmpty, Valid: func() bool { return *to != "" }}
	}
	isInvalidID := func(id string) bool { return id == "" || len(id) > 256 } // no dead letter has a longer id
	return []httpapi.Field{
		{Name: "ids", Optional: true, To: &s.IDs, Must: "must be 1 to 1000 ids, each of 1 to 256 bytes", Valid: func() bool {
			return len(s.IDs) > 0 && len(s.IDs) <= maxPage && !slices.ContainsFunc(s.IDs, isInvalidID)
		}},
		{Name: "order_id", Optional: true, To: &s.OrderID, Must: mustBeOrderID, Valid: func() bool {
			id, err := domain.ParseOrderID(s.OrderID)
			s.OrderID = string(id)
			return err == nil
		}},
		text("channel", &s.Channel), text("type", &s.Type), text("user_id", &s.UserID),
		text("reason", &s.Reason), text("group", &s.Group), text("since", &s.Since), text("until", &s.Until),
		{Name: "all", Optional: true, To: &s.All},
	}
}

func (d *Decision) fields(r *http.Request) []httpapi.Field {
	return []httpapi.Field{
		access.AuthorField(r, &d.By),
		{Name: "why", Optional: true, To: &d.Why, Must: "must be 1 to 256 characters", Valid: func() bool { return d.Why != "" && utf8.RuneCountInString(d.Why) <= MaxWhy }},
		{Name: "dry_run", Optional: true, To: &d.DryRun},
	}
}

var mustSelect = domain.FieldError{
	Field:  "ids",
	Reason: "or other fields must select dead letters: give exactly one of ids, all, and a filter (channel, type, user_id, order_id, reason, group, since, until)",
}

// decisionJSON is the answer to a decision.
type decisionJSON struct {
	Decision   Action        `json:"decision"`
	DryRun     bool          `json:"dry_run"`
	Matched    int           `json:"matched"` // the selected dead letters
	Done       int           `json:"done"`
	Failed     []failureJSON `json:"failed"`
	HasMore    bool          `json:"has_more"`
	NextCursor *string       `json:"next_cursor"`
}

// failureJSON says why a decision about a dead letter failed.
type failureJSON struct {
	ID     string `json:"id"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

func (h *Handler) decide(action Action) httpapi.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		request := decisionRequest{Decision: Decision{Action: action}, Limit: maxPage}
		if err := httpapi.ReadObject(w, r, "a decision", request.fields(r)...); err != nil {
			return err
		}
		if !request.IsValid() {
			return httpapi.Invalid(mustSelect)
		}
		query, err := request.Query(action)
		if err != nil {
			return asProblem(err)
		}
		ctx, cancel := httpapi.Begin(r, h.RequestTimeout)
		defer cancel()
		if err := httpapi.ReservePage(ctx, w, maxPage); err != nil { // for the list and for the answer
			return err
		}
		answer := decisionJSON{Decision: action, DryRun: request.DryRun, Failed: []failureJSON{}}
		ids := request.UniqueIDs()
		if len(ids) == 0 {
			query.Limit, query.Cursor = request.Limit, request.Cursor
			page, err := h.service.List(ctx, query)
			if err != nil {
				return asProblem(err)
			}
			httpapi.NoteUnreadable(w, page.Unreadable)
			for _, record := range page.Records {
				ids = append(ids, record.ID)
			}
			if page.NextCursor != "" {
				answer.HasMore, answer.NextCursor = true, &page.NextCursor
			}
		}
		answer.Matched = len(ids)
		errs, err := h.decideAbout(ctx, request, ids)
		if err != nil {
			return asProblem(err)
		}
		for i, err := range errs {
			switch {
			case err != nil:
				answer.Failed = append(answer.Failed, h.failure(ctx, ids[i], err))
			case !request.DryRun:
				answer.Done++
			}
		}
		return httpapi.WriteJSON(w, http.StatusOK, answer)
	}
}

// decideAbout carries out the decision, which is recorded if it is about any dead letter.
func (h *Handler) decideAbout(ctx context.Context, request decisionRequest, ids []string) ([]error, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	deciding, err := h.service.Begin(ctx, request.Decision, request.Selection)
	if err != nil {
		return nil, err
	}
	defer deciding.End(ctx, nil)
	return deciding.Decide(ctx, ids...), nil
}

func (h *Handler) failure(ctx context.Context, id string, err error) failureJSON {
	p := problem(err)
	switch {
	case p == nil:
		h.service.log.ErrorContext(ctx, "dead letter not settled", "id", id, "error", err)
		return failureJSON{id, "internal", "the service failed; its log has the error"}
	case p.Code == "unavailable":
		return failureJSON{id, p.Code, "the store or the broker is unavailable; the decision may have been carried out or not"}
	}
	return failureJSON{id, p.Code, p.Detail}
}
