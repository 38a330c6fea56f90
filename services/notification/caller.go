package notification

import (
	"net/http"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/httpapi"
)

// ScopeReadAll is the scope of a token that allows more than one's own notifications.
const ScopeReadAll = "notifications:read:all"

// Caller is who sends a request to the public address.
type Caller struct {
	User    string // keeps the domain's rules for a user id
	ReadAll bool   // may read the notifications of all users
}

// Unauthenticated is the error of [Handler.Authenticate] for a request whose sender is not
// known. Its zero value says that the request has no credentials.
type Unauthenticated = httpapi.Unauthenticated

// callerOf returns who sends the request.
func (h *Handler) callerOf(r *http.Request) (Caller, error) {
	if h.Authenticate == nil {
		return Caller{ReadAll: true}, nil
	}
	caller, err := h.Authenticate(r)
	if err == nil && domain.CheckUserID(caller.User) != nil {
		err = httpapi.NoUser()
	}
	return caller, err
}

// own makes the query one for the caller's notifications, unless the caller may read all. It
// reports false if the query is for another user's.
func (c Caller) own(query *ports.NotificationQuery) bool {
	if c.ReadAll {
		return true
	}
	if query.UserID == "" {
		query.UserID = c.User
	}
	return query.UserID == c.User
}
