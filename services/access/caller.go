package access

import (
	"context"
	"net"
	"net/http"

	"example.com/orderflow/services/internal/author"
	"example.com/orderflow/services/internal/httpapi"
)

// Role is what a caller may do.
type Role string

const (
	Viewer   Role = "viewer"   // may see everything but profiles of the process
	Operator Role = "operator" // may also change things
)

// IsRole reports whether the role is one.
func IsRole(r Role) bool { return r == Viewer || r == Operator }

// Way is how a caller became known.
type Way string

const (
	ByToken   Way = "token"
	BySession Way = "session"
	ByProxy   Way = "proxy"
	Open      Way = "open" // nobody is asked: the address is for this machine only
)

// Caller is who sends a request.
type Caller struct {
	Name string // empty: not known, since nobody is asked
	Role Role
	By   Way
}

type contextKey struct{}

func withCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, contextKey{}, c)
}

// CallerOf returns who sends the request of the context. It returns false for a request
// that no [Guard] has passed.
func CallerOf(ctx context.Context) (Caller, bool) {
	c, ok := ctx.Value(contextKey{}).(Caller)
	return c, ok
}

// Author returns the author of what a request does: the caller's name, or the host at the
// other end of the connection if nobody is asked for a name.
func Author(r *http.Request) string {
	if c, _ := CallerOf(r.Context()); c.Name != "" {
		return c.Name
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr) // the port differs from connection to connection
	if err != nil {
		host = r.RemoteAddr
	}
	return "http " + host
}

// AuthorField returns the optional field "by" of a request's body, and sets by to the
// author without it. A caller whose name is known can't give another.
func AuthorField(r *http.Request, by *string) httpapi.Field {
	*by = Author(r)
	f := httpapi.Field{Name: "by", Optional: true, To: by, Must: author.Must, Valid: func() bool { return author.IsClean(*by) }}
	if c, _ := CallerOf(r.Context()); c.Name != "" {
		f.Must, f.Valid = "must be left out, or be the name of the caller: "+c.Name, func() bool { return *by == c.Name }
	}
	return f
}
