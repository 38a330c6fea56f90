package access

import (
	"net/http"
	"time"

	"example.com/orderflow/services/internal/httpapi"
)

// Routes are the routes of sessions, which need no caller:
//
//	GET    /session    who the caller is; 401 if nobody knows
//	POST   /session    {"token":"…"}, begins a session: its cookie stands for the token
//	DELETE /session    ends it
func (g *Guard) Routes() httpapi.Routes {
	return httpapi.Routes{SessionPath: {http.MethodGet: g.showSession, http.MethodPost: g.beginSession, http.MethodDelete: g.endSession}}
}

// callerView is a caller as JSON shows it.
type callerView struct {
	Name   string `json:"name"`
	Role   Role   `json:"role"`
	By     Way    `json:"by"`
	EndsAt string `json:"expires_at,omitempty"` // of a session
}

func (g *Guard) showSession(w http.ResponseWriter, r *http.Request) error {
	c, err := g.callerOf(r)
	if err != nil {
		g.refuse(w, r, err)
		return nil
	}
	v := callerView{Name: c.Name, Role: c.Role, By: c.By}
	if c.By == BySession {
		_, ends, _ := g.callerOfSession(r)
		v.EndsAt = httpapi.FormatTime(ends)
	}
	return httpapi.WriteJSON(w, http.StatusOK, v)
}

func (g *Guard) beginSession(w http.ResponseWriter, r *http.Request) error {
	var secret string
	if err := httpapi.ReadObject(w, r, "a session", httpapi.Field{Name: "token", To: &secret}); err != nil {
		return err
	}
	if g.tokens == nil {
		return &httpapi.Problem{Status: http.StatusConflict, Code: "no_tokens", Detail: "this service has no tokens; set --admin-tokens-file"}
	}
	t, err := g.check(secret)
	if err != nil {
		g.refuse(w, r, err)
		return nil
	}
	began, ends := g.sessions.begin(t.hash, time.Now())
	g.log.InfoContext(r.Context(), "a session began", "caller", t.Name, "role", t.Role, "client", r.RemoteAddr)
	http.SetCookie(w, g.cookie(r, began, int(sessionAge.Seconds())))
	return httpapi.WriteJSON(w, http.StatusOK, callerView{t.Name, t.Role, BySession, httpapi.FormatTime(ends)})
}

func (g *Guard) endSession(w http.ResponseWriter, r *http.Request) error {
	if c, err := r.Cookie(g.cookieName(r)); err == nil {
		g.sessions.end(c.Value)
	}
	http.SetCookie(w, g.cookie(r, "", -1))
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// callerOfSession returns whose session the request's cookie has, and when it ends.
func (g *Guard) callerOfSession(r *http.Request) (c Caller, ends time.Time, err error) {
	cookie, err := r.Cookie(g.cookieName(r))
	if err != nil {
		return c, ends, &httpapi.Unauthenticated{}
	}
	id, ends, ok := g.sessions.find(cookie.Value, time.Now())
	if !ok {
		return c, ends, &httpapi.Unauthenticated{}
	}
	t, ok := g.tokens.find(id)
	if !ok { // it was removed from the file
		g.sessions.end(cookie.Value)
		return c, ends, &httpapi.Unauthenticated{}
	}
	return Caller{t.Name, t.Role, BySession}, ends, nil
}

// isSecure reports whether the browser's connection is by TLS, as far as that is known.
func (g *Guard) isSecure(r *http.Request) bool {
	return r.TLS != nil || g.proxy.isFrom(r.RemoteAddr) && r.Header.Get("X-Forwarded-Proto") == "https"
}

func (g *Guard) cookieName(r *http.Request) string {
	if g.isSecure(r) {
		return "__Host-orderflow-session"
	}
	return "orderflow-session"
}

func (g *Guard) cookie(r *http.Request, secret string, age int) *http.Cookie {
	return &http.Cookie{
		Name: g.cookieName(r), Value: secret, Path: "/", MaxAge: age,
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: g.isSecure(r),
	}
}
