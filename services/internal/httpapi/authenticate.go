package httpapi

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/mask"
	"example.com/orderflow/services/internal/statelog"
)

// Unauthenticated is the error of a request whose sender is not known.
type Unauthenticated struct {
	// Reason says what is wrong with the credentials, such as "the token has expired". The
	// client reads it. It is empty if the request has none.
	Reason string

	Malformed bool // the header can't be read
}

func (u *Unauthenticated) Error() string {
	if u.Reason == "" {
		return "the request has no token"
	}
	return u.Reason
}

// NoUser returns the error of a request whose sender has no valid user id.
func NoUser() error {
	return &Unauthenticated{Reason: "the subject of the token can't be a user: it must have 1 to 128 characters, at least one visible, none a control character"}
}

// Refusals answers requests of senders who are not known or who may not do this. The answers
// have the challenges of RFC 6750. The zero Refusals is ready for use.
type Refusals struct{ unauthenticated, unchecked statelog.Minutely }

// Unauthenticated returns the problem of a request that was not authenticated. The error is
// an [*Unauthenticated], or [ports.ErrUnavailable] if that can't be known now. Any other
// error is returned as it is; the answer to that is 500.
func (f *Refusals) Unauthenticated(w http.ResponseWriter, r *http.Request, err error, log *slog.Logger) error {
	var u *Unauthenticated
	switch {
	case errors.Is(err, ports.ErrUnavailable):
		f.unchecked.Note(func(count int) { // anybody can send such tokens
			log.WarnContext(r.Context(), "requests are refused: their tokens can't be checked now", "since_last_line", count, "last_client", r.RemoteAddr, "error", mask.Error(err))
		})
		p := Unavailable("the token can't be checked now; nothing was done", err)
		p.Counted = true
		return p
	case !errors.As(err, &u):
		return err
	}
	f.unauthenticated.Note(func(count int) {
		log.InfoContext(r.Context(), "requests are refused: their senders are not known", "since_last_line", count, "last_client", r.RemoteAddr, "last_reason", u.Error())
	})
	p := &Problem{Status: http.StatusUnauthorized, Code: "unauthenticated", Detail: "this needs a token: Authorization: Bearer TOKEN", Counted: true}
	switch {
	case u.Malformed:
		p.Status, p.Code, p.Detail = http.StatusBadRequest, "malformed", u.Reason
		p.Errors = []domain.FieldError{{Field: "Authorization", Reason: "must be Bearer and one token"}}
		challenge(w, "invalid_request", u.Reason, "")
	case u.Reason != "":
		p.Code, p.Detail = "invalid_token", u.Reason
		challenge(w, "invalid_token", u.Reason, "")
	default:
		challenge(w, "", "", "")
	}
	return p
}

// Forbidden returns the problem of a request that only a token with the scope may send.
func (f *Refusals) Forbidden(w http.ResponseWriter, detail, scope string, fields ...domain.FieldError) error {
	challenge(w, "insufficient_scope", detail, scope)
	return &Problem{Status: http.StatusForbidden, Code: "insufficient_scope", Detail: detail + "; that needs the scope " + scope, Errors: fields}
}

// challenge sets the header WWW-Authenticate. Its texts are cut to what RFC 6750 allows.
func challenge(w http.ResponseWriter, code, description, scope string) {
	value := `Bearer realm="orderflow"`
	for _, parameter := range []struct{ name, text string }{{"error", code}, {"error_description", description}, {"scope", scope}} {
		if parameter.text != "" {
			value += ", " + parameter.name + `="` + strings.Map(inChallenge, parameter.text) + `"`
		}
	}
	w.Header().Set("WWW-Authenticate", value)
}

func inChallenge(c rune) rune {
	if c < ' ' || c > '~' || c == '"' || c == '\\' {
		return -1
	}
	return c
}
