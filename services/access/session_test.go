package access

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func whoIs(h http.Handler, c *http.Cookie) (status int, v callerView) {
	w := send(h, withCookie(request("GET", SessionPath, ""), c))
	_ = json.Unmarshal(w.Body.Bytes(), &v) // then it is empty
	return w.Code, v
}

// A session ends when it is not used, when it is old, when its user ends it, and with its token.
func TestSessionsEnd(t *testing.T) {
	p := newPeople(t)
	synctest.Test(t, func(t *testing.T) {
		h := behind(NewGuard(p.open(t, quiet), Proxy{}, quiet))
		check := func(what string, c *http.Cookie, want int) {
			t.Helper()
			status, _ := whoIs(h, c)
			w := send(h, withCookie(request("POST", "/channels/x/pause", ""), c))
			if status != want || w.Code != want {
				t.Errorf("%s: answered %d and %d, want %d", what, status, w.Code, want)
			}
		}
		unused := signIn(t, h, p.secrets["opal"])
		used := signIn(t, h, p.secrets["opal"])
		began := time.Now()
		for time.Since(began) < sessionAge-sessionIdle {
			time.Sleep(sessionIdle - time.Second)
			check("used", used, http.StatusOK)
		}
		check("not used", unused, http.StatusUnauthorized)
		if _, v := whoIs(h, used); v != (callerView{"opal", Operator, BySession, began.Add(sessionAge).UTC().Format("2006-01-02T15:04:05.000Z")}) {
			t.Errorf("the session is %+v", v)
		}
		for time.Since(began) < sessionAge-time.Second {
			time.Sleep(min(sessionIdle-time.Second, sessionAge-time.Second-time.Since(began)))
			check("almost old", used, http.StatusOK)
		}
		time.Sleep(time.Second)
		check("old", used, http.StatusUnauthorized)

		ended, other := signIn(t, h, p.secrets["opal"]), signIn(t, h, p.secrets["opal"])
		w := send(h, withCookie(request("DELETE", SessionPath, ""), ended))
		if gone := w.Result().Cookies(); w.Code != http.StatusNoContent || len(gone) != 1 || gone[0].MaxAge >= 0 || gone[0].Value != "" || gone[0].Name != ended.Name {
			t.Errorf("signing out: answered %d %v", w.Code, gone)
		}
		check("ended", ended, http.StatusUnauthorized)
		check("beside the ended one", other, http.StatusOK)
		if w := send(h, request("DELETE", SessionPath, "")); w.Code != http.StatusNoContent {
			t.Errorf("signing out twice: answered %d", w.Code)
		}

		p.write(t, p.lines["vic"])
		time.Sleep(checkInterval)
		check("its token was removed", other, http.StatusUnauthorized)
		p.write(t, p.lines["vic"]+"\n"+p.lines["opal"])
		time.Sleep(checkInterval)
		check("its token came back", other, http.StatusUnauthorized)

		// The role is that of the file now.
		demoted := signIn(t, h, p.secrets["opal"])
		p.write(t, "opal viewer "+p.lines["opal"][len("opal operator "):])
		time.Sleep(checkInterval)
		if status, v := whoIs(h, demoted); status != http.StatusOK || v.Role != Viewer {
			t.Errorf("a viewer now: %d %+v", status, v)
		}
		if w := send(h, withCookie(request("POST", "/x", ""), demoted)); w.Code != http.StatusForbidden {
			t.Errorf("a viewer now: answered %d", w.Code)
		}
	})
}

// Sessions are bounded: of a token, which ends its own, and in all.
func TestSessionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s sessions
		alive := func(secret string) bool {
			_, _, ok := s.find(secret, time.Now())
			return ok
		}
		other, _ := s.begin(hash{1}, time.Now())
		var own []string
		for range maxOfToken {
			time.Sleep(time.Millisecond)
			secret, _ := s.begin(hash{2}, time.Now())
			own = append(own, secret)
		}
		time.Sleep(time.Millisecond)
		if !alive(own[0]) { // now own[1] was not used for the longest time
			t.Fatal("the first of as many as may be has ended")
		}
		time.Sleep(time.Millisecond)
		_, _ = s.begin(hash{2}, time.Now())
		if !alive(other) || !alive(own[0]) || alive(own[1]) || !alive(own[2]) {
			t.Error("another session ended than the one of the token that was not used for the longest time")
		}
		for i := range 2 * maxSessions {
			time.Sleep(time.Millisecond)
			_, _ = s.begin(hash{3, byte(i), byte(i >> 8)}, time.Now())
		}
		if len(s.byID) != maxSessions || alive(other) {
			t.Errorf("there are %d sessions", len(s.byID))
		}
		time.Sleep(sessionIdle)
		_, _ = s.begin(hash{4}, time.Now())
		if len(s.byID) != 1 {
			t.Errorf("%d sessions are left that nobody uses", len(s.byID)-1)
		}
	})
}

// The cookie can't be read by scripts, goes to no other site, and travels by TLS alone if
// that is what the browser uses.
func TestCookie(t *testing.T) {
	p := newPeople(t)
	h := behind(NewGuard(p.open(t, quiet), Proxy{From: []netip.Prefix{netip.MustParsePrefix("10.1.2.3/32")}}, quiet))
	for name, tt := range map[string]struct {
		with   func(*http.Request)
		secure bool
	}{
		"plain":                   {func(*http.Request) {}, false},
		"by TLS":                  {func(r *http.Request) { r.TLS = new(tls.ConnectionState) }, true},
		"as the proxy says":       {func(r *http.Request) { r.RemoteAddr = "10.1.2.3:1"; r.Header.Set("X-Forwarded-Proto", "https") }, true},
		"as the proxy says, http": {func(r *http.Request) { r.RemoteAddr = "10.1.2.3:1"; r.Header.Set("X-Forwarded-Proto", "http") }, false},
		"as anybody says":         {func(r *http.Request) { r.Header.Set("X-Forwarded-Proto", "https") }, false},
	} {
		r := request("POST", SessionPath, `{"token":"`+p.secrets["vic"]+`"}`)
		tt.with(r)
		w := send(h, r)
		cookies := w.Result().Cookies()
		if len(cookies) != 1 {
			t.Fatalf("%s: answered %d %s", name, w.Code, w.Body)
		}
		c := cookies[0]
		want := "orderflow-session"
		if tt.secure {
			want = "__Host-orderflow-session"
		}
		if c.Name != want || c.Secure != tt.secure || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" || c.MaxAge != int(sessionAge.Seconds()) {
			t.Errorf("%s: the cookie is %v", name, c)
		}
		r = withCookie(request("GET", "/channels", ""), c)
		tt.with(r)
		if w := send(h, r); w.Code != http.StatusOK {
			t.Errorf("%s: answered %d", name, w.Code)
		}
	}
}

// A sign-in takes one token of the service, and nothing else.
func TestSignIn(t *testing.T) {
	p := newPeople(t)
	h := behind(NewGuard(p.open(t, quiet), Proxy{}, quiet))
	for body, want := range map[string]int{
		`{"token":""}`: 401, `{"token":"` + p.secrets["vic"] + ` "}`: 401, `{"token":"` + someHash + `"}`: 401,
		`{}`: 422, `{"token":1}`: 422, `{"token":"` + p.secrets["vic"] + `","role":"operator"}`: 422, `"x"`: 400, `{`: 400,
	} {
		if w := send(h, request("POST", SessionPath, body)); w.Code != want || len(w.Result().Cookies()) > 0 {
			t.Errorf("%s: answered %d %s, want %d", body, w.Code, w.Body, want)
		}
	}
	first, second := signIn(t, h, p.secrets["vic"]), signIn(t, h, p.secrets["vic"])
	if first.Value == second.Value || len(first.Value) != 43 {
		t.Errorf("the sessions are %q and %q", first.Value, second.Value)
	}
	// One who is signed in can sign in as another.
	w := send(h, withCookie(request("POST", SessionPath, `{"token":"`+p.secrets["opal"]+`"}`), first))
	if status, v := whoIs(h, w.Result().Cookies()[0]); status != http.StatusOK || v.Name != "opal" {
		t.Errorf("signed in as another: %d %+v", status, v)
	}
}
