package order

import (
	"net/http"
	"strings"

	"example.com/orderflow/domain"
	"example.com/orderflow/services/internal/httpapi"
)

// The scopes of a token that allow more than one's own orders.
const (
	ScopeReadAll  = "orders:read:all"
	ScopeWriteAll = "orders:write:all"
)

// Caller is who sends a request.
type Caller struct {
	User     string // keeps the domain's rules for a user id
	ReadAll  bool   // may read the orders of all users
	WriteAll bool   // may place orders for all users
}

// Unauthenticated is the error of [Handler.Authenticate] for a request whose sender is not
// known. Its zero value says that the request has no credentials.
type Unauthenticated = httpapi.Unauthenticated

// everybody is the caller where nobody is asked for credentials.
var everybody = Caller{ReadAll: true, WriteAll: true}

// callerOf returns who sends the request.
func (h *Handler) callerOf(r *http.Request) (Caller, error) {
	if h.Authenticate == nil {
		return everybody, nil
	}
	caller, err := h.Authenticate(r)
	if err == nil && domain.CheckUserID(caller.User) != nil {
		err = httpapi.NoUser()
	}
	if err != nil {
		return Caller{}, err
	}
	return caller, nil
}

// guarded returns the handler for requests whose caller is known, within the rate limit.
func (h *Handler) guarded(handle func(http.ResponseWriter, *http.Request, Caller) error) httpapi.HandlerFunc {
	answer := func(w http.ResponseWriter, r *http.Request, caller Caller, err error) error {
		if err != nil {
			return h.refusals.Unauthenticated(w, r, err, h.log)
		}
		return handle(w, r, caller)
	}
	return func(w http.ResponseWriter, r *http.Request) error {
		if h.RateLimit.Requests > 0 && !h.RateLimit.ByAuthorization {
			return h.limiter().Limit(w, r, "", h.log, func(w http.ResponseWriter, r *http.Request) error {
				caller, err := h.callerOf(r) // costs more than the limit
				return answer(w, r, caller, err)
			})
		}
		caller, err := h.callerOf(r)
		if h.RateLimit.Requests <= 0 {
			return answer(w, r, caller, err)
		}
		name := caller.User
		if h.Authenticate == nil {
			name = strings.Join(r.Header.Values("Authorization"), "\x00")
		}
		return h.limiter().Limit(w, r, name, h.log, func(w http.ResponseWriter, r *http.Request) error {
			return answer(w, r, caller, err)
		})
	}
}

// owner returns whose orders the caller may read; empty: everybody's.
func (c Caller) owner() string {
	if c.ReadAll {
		return ""
	}
	return c.User
}
