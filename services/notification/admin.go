package notification

import (
	"cmp"
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
)

// AdminHandler is the HTTP interface for operators, which the public must not
// reach:
//
//	GET  /dead-letters?state=&reason=&limit=&cursor=    waiting ones, oldest first; or replayed, discarded, all
//	GET  /dead-letters/{id}                             one, with its message
//	POST /dead-letters/replay                           {"ids":[…]}, {"reason":"…"} or {"all":true}
//	POST /dead-letters/discard                          the same
//	POST /dead-letters/restore                          the same, of discarded ones
//
// A decision takes "dry_run":true as well, and up to "limit" letters from
// "cursor" on; its answer has the cursor to go on from. A request that changes
// state is refused if it comes from a browser's page of another origin.
//
// Errors are application/problem+json (RFC 9457).
type AdminHandler struct {
	RequestTimeout time.Duration // how long an answer may take; 0: 10 s. To be set before first use

	routes http.Handler
}

// NewAdminHandler returns the HTTP interface of the dead letters. Without them
// it returns an error; without a logger it uses slog.Default().
func NewAdminHandler(letters *DeadLetters, log *slog.Logger) (*AdminHandler, error) {
	if err := wiring.Check("admin handler", wiring.Part{Name: "dead letters", Given: letters}); err != nil {
		return nil, err
	}
	log = wiring.Logger(log)
	a := adminAPI{letters}
	routes := httpapi.Routes{
		"/dead-letters":      {http.MethodGet: a.list},
		"/dead-letters/{id}": {http.MethodGet: a.get},
	}
	for _, decision := range []Decision{Replay, Discard, Restore} {
		routes["/dead-letters/"+string(decision)] = httpapi.Methods{http.MethodPost: a.decide(decision)}
	}
	return &AdminHandler{routes: httpapi.ForOperators(httpapi.NewHandler(routes, log), log)}, nil
}

// ServeHTTP answers a request.
func (h *AdminHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), cmp.Or(h.RequestTimeout, httpapi.DefaultRequestTimeout))
	defer cancel()
	h.routes.ServeHTTP(w, r.WithContext(ctx))
}

type adminAPI struct{ letters *DeadLetters }

func (a adminAPI) list(w http.ResponseWriter, r *http.Request) error {
	query, err := httpapi.Query(r, "state", "reason", "limit", "cursor")
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
	page, err := a.letters.List(r.Context(), ports.DeadLetterQuery{
		State: state, Reason: query["reason"], Limit: limit, Cursor: query["cursor"],
	})
	if err != nil {
		return deadLetterProblem(err)
	}
	httpapi.WritePage(w, page.Letters, page.NextCursor, NewDeadLetterSummary)
	return nil
}

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
	letter, err := a.letters.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		return deadLetterProblem(err)
	}
	httpapi.WriteJSON(w, http.StatusOK, NewDeadLetterView(letter))
	return nil
}

// selection is the body of a decision.
type selection struct {
	Selection
	DryRun bool
	Limit  int
	Cursor string
}

func (s *selection) fields() []httpapi.Field {
	return []httpapi.Field{
		{Name: "ids", Optional: true, Set: httpapi.Texts(&s.IDs)},
		{Name: "reason", Optional: true, Set: httpapi.Text(&s.Reason)},
		{Name: "all", Optional: true, Set: httpapi.Truth(&s.All)},
		{Name: "dry_run", Optional: true, Set: httpapi.Truth(&s.DryRun)},
		{Name: "limit", Optional: true, Set: httpapi.Whole(&s.Limit)},
		{Name: "cursor", Optional: true, Set: httpapi.Text(&s.Cursor)},
	}
}

func (s *selection) check() error {
	var faults []domain.FieldError
	if !s.IsDefinite() {
		faults = append(faults, domain.FieldError{Field: "ids", Reason: "or reason or all must say which letters, and only one of them"})
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
		answer := decisionJSON{Decision: decision, DryRun: s.DryRun, Failed: []undecidedJSON{}}
		ids := s.Named()
		if len(ids) == 0 {
			page, err := a.letters.List(r.Context(), ports.DeadLetterQuery{
				State: decision.From(), Reason: s.Reason, Limit: s.Limit, Cursor: s.Cursor,
			})
			if err != nil {
				return deadLetterProblem(err)
			}
			for _, letter := range page.Letters {
				ids = append(ids, letter.ID)
			}
			if page.NextCursor != "" {
				answer.HasMore, answer.NextCursor = true, &page.NextCursor
			}
		}
		answer.Matched = len(ids)
		do := a.letters.Decide
		if s.DryRun {
			do = a.letters.Check
		}
		for i, err := range do(r.Context(), decision, ids...) {
			switch {
			case err != nil:
				answer.Failed = append(answer.Failed, a.undecided(r.Context(), ids[i], err))
			case !s.DryRun:
				answer.Done++
			}
		}
		httpapi.WriteJSON(w, http.StatusOK, answer)
		return nil
	}
}

func (a adminAPI) undecided(ctx context.Context, id string, err error) undecidedJSON {
	var refusal *Refusal
	switch {
	case errors.Is(err, ErrNotNoted):
		return undecidedJSON{id, "not_noted", ErrNotNoted.Error() + ", for the store did not answer or somebody else has decided; look at it again"}
	case errors.As(err, &refusal):
		return undecidedJSON{id, "wrong_state", refusal.Error()}
	case errors.Is(err, ports.ErrNotFound):
		return undecidedJSON{id, "not_found", noLetter}
	case errors.Is(err, ports.ErrChanged):
		return undecidedJSON{id, "changed", "it has changed meanwhile: it failed again, or somebody else has decided"}
	case isAway(err):
		return undecidedJSON{id, "unavailable", "store or broker did not answer in time; the decision may have been carried out or not"}
	}
	a.letters.log.ErrorContext(ctx, "dead letter not settled", "id", id, "error", err)
	return undecidedJSON{id, "internal", "the service failed; its log says more"}
}

const noLetter = "there is no dead letter with this id"

func isAway(err error) bool {
	return errors.Is(err, ports.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

func deadLetterProblem(err error) error {
	switch {
	case errors.Is(err, ports.ErrNotFound):
		return &httpapi.Problem{Status: http.StatusNotFound, Code: "not_found", Detail: noLetter}
	case errors.Is(err, ports.ErrInvalidCursor):
		return httpapi.Invalid(domain.FieldError{Field: "cursor", Reason: "must be the next_cursor of a page before"})
	case isAway(err):
		return httpapi.Unavailable("the store did not answer in time")
	}
	return err
}
