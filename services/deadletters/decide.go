package deadletters

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/httpapi"
)

// selection is the body of a decision.
type selection struct {
	Selection
	By     string
	DryRun bool
	Limit  int
	Cursor string
}

// fields reads what is given. A way to select that is given empty, by a program
// whose variable is empty, must not select more.
func (s *selection) fields() []httpapi.Field {
	const mustNotBeEmpty = "must not be empty"
	return []httpapi.Field{
		{Name: "ids", Optional: true, To: &s.IDs, Valid: func() bool { return len(s.IDs) > 0 }, Must: mustNotBeEmpty},
		{Name: "order_id", Optional: true, To: (*string)(&s.OrderID), Must: noOrderID, Valid: func() bool {
			id, err := domain.ParseOrderID(string(s.OrderID))
			s.OrderID = id
			return err == nil
		}},
		{Name: "reason", Optional: true, To: &s.Reason, Valid: func() bool { return s.Reason != "" }, Must: mustNotBeEmpty},
		{Name: "all", Optional: true, To: &s.All},
		{Name: "by", Optional: true, To: &s.By, Valid: func() bool { return s.By == signature(s.By) }, Must: "must be 1 to 128 visible characters"},
		{Name: "dry_run", Optional: true, To: &s.DryRun},
		{Name: "limit", Optional: true, To: &s.Limit},
		{Name: "cursor", Optional: true, To: &s.Cursor, Valid: func() bool { return s.Cursor != "" }, Must: mustNotBeEmpty},
	}
}

// longestID is more than the id of any letter has.
const longestID = 256

func (s *selection) check() error {
	var faults []domain.FieldError
	if !s.IsDefinite() {
		faults = append(faults, domain.FieldError{Field: "ids", Reason: "is one way to select letters: give exactly one of ids, order_id, reason, all"})
	}
	if slices.ContainsFunc(s.IDs, func(id string) bool { return id == "" || len(id) > longestID }) {
		faults = append(faults, domain.FieldError{Field: "ids", Reason: "must each have 1 to 256 bytes"})
	}
	if len(s.IDs) > largestPage {
		faults = append(faults, domain.FieldError{Field: "ids", Reason: "must be 1000 at most"})
	}
	if s.Limit < 1 || s.Limit > largestPage {
		faults = append(faults, domain.FieldError{Field: "limit", Reason: "must be a whole number from 1 to 1000"})
	}
	if len(faults) > 0 {
		return httpapi.Invalid(faults...)
	}
	return nil
}

// decisionJSON is the answer to a decision.
type decisionJSON struct {
	Decision   Decision        `json:"decision"`
	DryRun     bool            `json:"dry_run"`
	Matched    int             `json:"matched"` // letters that the request was about
	Done       int             `json:"done"`
	Failed     []undecidedJSON `json:"failed"`
	HasMore    bool            `json:"has_more"`
	NextCursor *string         `json:"next_cursor"`
}

type undecidedJSON struct {
	ID     string `json:"id"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

func (a adminAPI) decide(decision Decision) httpapi.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		s := selection{Limit: largestPage}
		if err := httpapi.ReadObject(w, r, "a decision", s.fields()...); err != nil {
			return err
		}
		if err := s.check(); err != nil {
			return err
		}
		ctx, cancel := a.begin(r)
		defer cancel()
		if err := httpapi.ReservePage(ctx, w, largestPage); err != nil { // for the page and for the answer
			return err
		}
		answer := decisionJSON{Decision: decision, DryRun: s.DryRun, Failed: []undecidedJSON{}}
		ids := s.Named()
		if len(ids) == 0 {
			query := s.Query(decision)
			query.Limit, query.Cursor = s.Limit, s.Cursor
			page, err := a.letters.List(ctx, query)
			if err != nil {
				return deadLetterProblem(err)
			}
			httpapi.NoteUnreadable(w, page.Unreadable)
			for _, letter := range page.Records {
				ids = append(ids, letter.ID)
			}
			if page.NextCursor != "" {
				answer.HasMore, answer.NextCursor = true, &page.NextCursor
			}
		}
		answer.Matched = len(ids)
		do := func(ids ...string) []error {
			return a.letters.Decide(ctx, decision, cmp.Or(s.By, "http "+r.RemoteAddr), ids...)
		}
		if s.DryRun {
			do = func(ids ...string) []error { return a.letters.Check(ctx, decision, ids...) }
		}
		for i, err := range do(ids...) {
			switch {
			case err != nil:
				answer.Failed = append(answer.Failed, a.undecided(ctx, ids[i], err))
			case !s.DryRun:
				answer.Done++
			}
		}
		return httpapi.WriteJSON(w, http.StatusOK, answer)
	}
}

func (a adminAPI) undecided(ctx context.Context, id string, err error) undecidedJSON {
	var refusal *Refusal
	var unreadable *ports.UnreadableError
	switch {
	case errors.Is(err, ErrNotNoted):
		return undecidedJSON{id, "not_noted", ErrNotNoted.Error() + ", for the store did not answer or somebody else has decided; look at it again"}
	case errors.As(err, &refusal):
		return undecidedJSON{id, "wrong_state", refusal.Error()}
	case errors.As(err, &unreadable):
		return undecidedJSON{id, "unreadable", whyUnreadable(unreadable)}
	case errors.Is(err, ports.ErrNotFound):
		return undecidedJSON{id, "not_found", noLetter}
	case errors.Is(err, ports.ErrChanged):
		return undecidedJSON{id, "changed", "it has changed meanwhile: it failed again, or somebody else has decided"}
	case isAway(err):
		return undecidedJSON{id, "unavailable", "store or broker is not available; the decision may have been carried out or not"}
	}
	a.letters.log.ErrorContext(ctx, "dead letter not settled", "id", id, "error", err)
	return undecidedJSON{id, "internal", "the service failed; its log says more"}
}
