package deadletters

import (
	"context"
	"errors"
	"net/http"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/access"
	"example.com/orderflow/services/internal/httpapi"
)

// JobView is a job as answers have it. Times are RFC 3339, in UTC.
type JobView struct {
	ID         string        `json:"id"`
	Action     Action        `json:"action"`
	Select     SelectionView `json:"select"`
	State      JobState      `json:"state"`
	DryRun     bool          `json:"dry_run"`
	Rate       int           `json:"rate"` // dead letters a second
	By         string        `json:"by"`
	StartedAt  string        `json:"started_at"`
	EndedAt    string        `json:"ended_at,omitempty"`
	Total      int           `json:"total"`
	Done       int           `json:"done"`
	Skipped    int           `json:"skipped"`
	Failed     int           `json:"failed"`
	FirstError string        `json:"first_error,omitempty"`
	Stalled    string        `json:"stalled,omitempty"` // why nothing moves
}

// SelectionView is what a job has selected.
type SelectionView struct {
	IDs     int    `json:"ids,omitempty"` // how many
	All     bool   `json:"all,omitempty"`
	Channel string `json:"channel,omitempty"`
	Type    string `json:"type,omitempty"`
	UserID  string `json:"user_id,omitempty"`
	OrderID string `json:"order_id,omitempty"`
	Reason  string `json:"reason,omitempty"`
	Group   string `json:"group,omitempty"`
	Since   string `json:"since,omitempty"`
	Until   string `json:"until,omitempty"`
}

// NewJobView returns the view of the job.
func NewJobView(j Job) JobView {
	v := JobView{
		ID: j.ID, Action: j.Action, State: j.State, DryRun: j.DryRun, Rate: j.Rate, By: j.By, StartedAt: httpapi.FormatTime(j.StartedAt),
		Select: SelectionView{len(j.IDs), j.All, j.Channel, j.Type, j.UserID, j.OrderID, j.Reason, j.Group, j.Since, j.Until},
		Total:  j.Total, Done: j.Done, Skipped: j.Skipped, Failed: j.Failed, FirstError: j.FirstError, Stalled: j.Stalled,
	}
	if !j.EndedAt.IsZero() {
		v.EndedAt = httpapi.FormatTime(j.EndedAt)
	}
	return v
}

func (h *Handler) startJob(w http.ResponseWriter, r *http.Request) error {
	var request JobRequest
	var expect int
	fields := append(request.Selection.fields(), append(request.Decision.fields(r),
		httpapi.Field{Name: "action", To: (*string)(&request.Action), Must: "must be replay, discard or restore", Valid: func() bool {
			_, known := transitions[request.Action]
			return known
		}},
		httpapi.Field{Name: "rate", Optional: true, To: &request.Rate, Must: "must be a whole number from 1 to 1000", Valid: func() bool {
			return request.Rate >= 1 && request.Rate <= MaxJobRate
		}},
		httpapi.Field{Name: "expect", Optional: true, To: &expect, Must: "must be a whole number from 0 on", Valid: func() bool {
			request.Expect = &expect
			return expect >= 0
		}},
	)...)
	if err := httpapi.ReadObject(w, r, "a job", fields...); err != nil {
		return err
	}
	if !request.IsValid() {
		return httpapi.Invalid(mustSelect)
	}
	ctx, cancel := httpapi.Begin(r, h.RequestTimeout)
	defer cancel()
	job, err := h.service.StartJob(ctx, request)
	if err != nil {
		return asProblem(err)
	}
	w.Header().Set("Location", "/dead-letters/jobs/"+job.ID)
	return httpapi.WriteJSON(w, http.StatusAccepted, NewJobView(job))
}

func (h *Handler) listJobs(w http.ResponseWriter, r *http.Request) error {
	return httpapi.WritePage(w, r, h.service.Jobs(), "", 0, NewJobView)
}

func (h *Handler) showJob(w http.ResponseWriter, r *http.Request) error {
	job, err := h.service.Job(r.PathValue("id"))
	return writeJob(w, job, err)
}

// controlJob returns the handler that changes a job.
func (h *Handler) controlJob(change func(ctx context.Context, id, by string) (Job, error)) httpapi.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		by := access.Author(r)
		if r.ContentLength != 0 {
			if err := httpapi.ReadObject(w, r, "a change of a job", access.AuthorField(r, &by)); err != nil {
				return err
			}
		}
		job, err := change(r.Context(), r.PathValue("id"), by)
		return writeJob(w, job, err)
	}
}

func writeJob(w http.ResponseWriter, job Job, err error) error {
	switch {
	case errors.Is(err, ports.ErrNotFound):
		return &httpapi.Problem{
			Status: http.StatusNotFound, Code: "not_found",
			Detail: "no job has this id: a process knows its latest jobs alone, GET /dead-letters/jobs lists them",
		}
	case err != nil:
		return asProblem(err)
	}
	return httpapi.WriteJSON(w, http.StatusOK, NewJobView(job))
}
