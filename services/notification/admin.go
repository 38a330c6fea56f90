package notification

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/access"
	"example.com/orderflow/services/internal/httpapi"
	"example.com/orderflow/services/internal/mask"
)

// AdminHandler is the HTTP interface for operators. The public must not reach it:
//
//	GET    /undelivered                  what has not reached its receiver: retrying, held or dead, newest
//	                                     first; the parameters are those of GET /notifications
//	GET    /channels                     all channels, with their pauses
//	DELETE /channels/{name}              forgets a channel that is not configured any more
//	POST   /channels/{name}/pause        {"receiver":"…","reason":"…","by":"…"}, all optional
//	POST   /channels/{name}/resume       {"receiver":"…","by":"…"}, all optional
//	POST   /channels/{name}/test         {"to":"…","receiver":"…","language":"…"}, all optional: sends a test
//	GET    /contacts/{user_id}           a user's contact
//	PUT    /contacts/{user_id}           {"language":"en","addresses":{"email":"…"},"off":["webhook"]}, all optional
//	DELETE /contacts/{user_id}
//	POST   /users/{user_id}/forget       {"by":"…","why":"…"}, all optional: removes the user from contacts,
//	                                     notifications and dead letters
//
// Names and ids in paths are percent-encoded. [httpapi.ForOperators] protects the
// handler from web pages. Errors are application/problem+json (RFC 9457).
type AdminHandler struct {
	httpapi.API // RequestTimeout and ServeHTTP

	control *Control
}

// NewAdminHandler returns an error without a control. Without a logger it uses
// slog.Default().
func NewAdminHandler(control *Control, log *slog.Logger) (*AdminHandler, error) {
	if err := checkControl("notification admin handler", control); err != nil {
		return nil, err
	}
	h := &AdminHandler{control: control}
	h.API = httpapi.NewOperatorAPI(httpapi.Routes{
		"/undelivered":            {http.MethodGet: h.undelivered},
		"/channels":               {http.MethodGet: h.channels},
		"/channels/{name}":        {http.MethodDelete: h.forgetChannel},
		"/channels/{name}/pause":  {http.MethodPost: h.pause},
		"/channels/{name}/resume": {http.MethodPost: h.resume},
		"/channels/{name}/test":   {http.MethodPost: h.test},
		"/contacts/{user_id}":     {http.MethodGet: h.contact, http.MethodPut: h.putContact, http.MethodDelete: h.deleteContact},
		"/users/{user_id}/forget": {http.MethodPost: h.forget},
	}, log)
	return h, nil
}

func (h *AdminHandler) undelivered(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := httpapi.Begin(r, h.RequestTimeout)
	defer cancel()
	query, _, err := readQuery(r)
	if err != nil {
		return err
	}
	if err := reservePage(ctx, w, query.Limit); err != nil {
		return err
	}
	page, err := h.control.Undelivered(ctx, query)
	if err != nil {
		return problem(err)
	}
	return httpapi.WritePage(w, r, page.Notifications, page.NextCursor, page.Unreadable, NewUndeliveredView)
}

func (h *AdminHandler) channels(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := httpapi.Begin(r, h.RequestTimeout)
	defer cancel()
	channels, err := h.control.Channels(ctx)
	if err != nil {
		return problem(err)
	}
	return httpapi.WritePage(w, r, channels, "", 0, NewChannelView)
}

func (h *AdminHandler) forgetChannel(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := httpapi.Begin(r, h.RequestTimeout)
	defer cancel()
	if err := h.control.ForgetChannel(ctx, r.PathValue("name"), access.Author(r)); err != nil {
		return problem(err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *AdminHandler) pause(w http.ResponseWriter, r *http.Request) error {
	var reason string
	key, by, err := readPauseKey(w, r, "a pause", httpapi.Field{
		Name: "reason", Optional: true, To: &reason, Must: mustBePauseReason, Valid: func() bool { return isPauseReason(reason) },
	})
	if err != nil {
		return err
	}
	ctx, cancel := httpapi.Begin(r, h.RequestTimeout)
	defer cancel()
	pause, err := h.control.Pause(ctx, key, reason, by)
	if errors.Is(err, ErrPaused) {
		return conflict("paused", fmt.Sprintf("it is %s already, since %s, by %s",
			pause.Kind, httpapi.FormatTime(pause.Since), cmp.Or(pause.By, "the notifier")))
	}
	return writePause(w, pause, err)
}

func (h *AdminHandler) resume(w http.ResponseWriter, r *http.Request) error {
	key, by, err := readPauseKey(w, r, "a resumption")
	if err != nil {
		return err
	}
	ctx, cancel := httpapi.Begin(r, h.RequestTimeout)
	defer cancel()
	pause, err := h.control.Resume(ctx, key, by)
	if errors.Is(err, ErrNotPaused) {
		detail := "it is not paused; GET /channels lists the pauses"
		if pause.Kind == ports.Draining {
			detail = "it was resumed already, at " + httpapi.FormatTime(pause.Since) + "; what was held is being sent"
		}
		return conflict("not_paused", detail)
	}
	return writePause(w, pause, err)
}

func (h *AdminHandler) test(w http.ResponseWriter, r *http.Request) error {
	var test TestSend
	if r.ContentLength != 0 {
		optional := func(name string, to *string) httpapi.Field {
			return httpapi.Field{Name: name, Optional: true, To: to, Must: "must not be empty", Valid: func() bool { return *to != "" }}
		}
		if err := httpapi.ReadObject(w, r, "a test", optional("to", &test.To), optional("receiver", &test.Receiver), optional("language", &test.Language)); err != nil {
			return err
		}
	}
	attempt, err := h.control.SendTest(r.Context(), r.PathValue("name"), test, access.Author(r))
	if err != nil {
		return problem(err)
	}
	return httpapi.WriteJSON(w, http.StatusOK, newAttemptView(attempt))
}

func writePause(w http.ResponseWriter, pause ports.Pause, err error) error {
	if err != nil {
		return problem(err)
	}
	return httpapi.WriteJSON(w, http.StatusOK, NewPauseView(pause))
}

// readPauseKey reads the body of a request to pause or resume, which may be empty.
func readPauseKey(
	w http.ResponseWriter, r *http.Request, what string, more ...httpapi.Field,
) (key domain.PauseKey, by string, err error) {
	key.Channel, by = r.PathValue("name"), access.Author(r)
	if r.ContentLength == 0 {
		return key, by, nil
	}
	err = httpapi.ReadObject(w, r, what, append([]httpapi.Field{
		{
			Name: "receiver", Optional: true, To: &key.Receiver, Must: mustBeReceiver,
			Valid: func() bool { return isReceiver(key.Receiver) },
		},
		access.AuthorField(r, &by),
	}, more...)...)
	return key, by, err
}

func (h *AdminHandler) contact(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := httpapi.Begin(r, h.RequestTimeout)
	defer cancel()
	contact, err := h.control.Contact(ctx, r.PathValue("user_id"))
	return writeContact(w, contact, err)
}

func (h *AdminHandler) putContact(w http.ResponseWriter, r *http.Request) error {
	contact := ports.Contact{UserID: r.PathValue("user_id")}
	if err := httpapi.ReadObject(w, r, "a contact",
		httpapi.Field{
			Name: "language", Optional: true, To: &contact.Language, Must: mustBeLanguage,
			Valid: func() bool { return contact.Language != "" },
		},
		httpapi.Field{Name: "addresses", Optional: true, To: &contact.Addresses},
		httpapi.Field{Name: "off", Optional: true, To: &contact.Off},
	); err != nil {
		return err
	}
	ctx, cancel := httpapi.Begin(r, h.RequestTimeout)
	defer cancel()
	contact, err := h.control.PutContact(ctx, contact, access.Author(r))
	return writeContact(w, contact, err)
}

func writeContact(w http.ResponseWriter, contact ports.Contact, err error) error {
	if err != nil {
		return problem(err)
	}
	return httpapi.WriteJSON(w, http.StatusOK, NewContactView(contact))
}

func (h *AdminHandler) deleteContact(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := httpapi.Begin(r, h.RequestTimeout)
	defer cancel()
	if err := h.control.DeleteContact(ctx, r.PathValue("user_id"), access.Author(r)); err != nil {
		return problem(err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// forgetTimeout bounds forgetting a user, which reads every dead letter.
const forgetTimeout = time.Minute

func (h *AdminHandler) forget(w http.ResponseWriter, r *http.Request) error {
	by, why := access.Author(r), ""
	if r.ContentLength != 0 {
		err := httpapi.ReadObject(w, r, "a request to forget a user",
			access.AuthorField(r, &by),
			httpapi.Field{Name: "why", Optional: true, To: &why, Must: mustBePauseReason, Valid: func() bool { return isPauseReason(why) }},
		)
		if err != nil {
			return err
		}
	}
	ctx, cancel := httpapi.Begin(r, max(h.RequestTimeout, forgetTimeout))
	defer cancel()
	forgotten, err := h.control.Forget(ctx, r.PathValue("user_id"), by, why)
	switch {
	case err == nil:
		return httpapi.WriteJSON(w, http.StatusOK, NewForgottenView(forgotten))
	case len(forgotten.Left) == 0:
		return problem(err)
	}
	h.control.log.ErrorContext(ctx, "user not forgotten completely", "error", mask.Error(err))
	return httpapi.Unavailable("these could not be changed: "+strings.Join(forgotten.Left, ", ")+"; send the request again", nil)
}
