package access

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/orderflow/services/internal/logtest"
)

// Each way to be known × what is asked for. A caller who is not known gets 401, a viewer who
// would act 403.
func TestWhoMayDoWhat(t *testing.T) {
	p := newPeople(t)
	var log logtest.Buffer
	g := NewGuard(p.open(t, quiet), Proxy{
		Header: "X-Forwarded-User", From: []netip.Prefix{netip.MustParsePrefix("10.1.2.0/24"), netip.MustParsePrefix("fd00::/64")}, Operators: []string{"pam"},
	}, log.Logger())
	g.IsPublic = func(path string) bool { return path == "/page" }
	h := behind(g)
	viewers, operators := signIn(t, h, p.secrets["vic"]), signIn(t, h, p.secrets["opal"])
	const nobody, viewer, operator = "nobody", "viewer", "operator"
	proxied := func(from, name string) func(*http.Request) {
		return func(r *http.Request) { r.RemoteAddr = from; r.Header.Add("X-Forwarded-User", name) }
	}
	token := func(authorization ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header["Authorization"] = authorization }
	}
	ways := map[string]struct {
		with func(*http.Request)
		role string
		name string
	}{
		"nothing":                       {func(*http.Request) {}, nobody, ""},
		"a viewer's token":              {token("Bearer " + p.secrets["vic"]), viewer, "vic"},
		"an operator's token":           {token("Bearer " + p.secrets["opal"]), operator, "opal"},
		"a scheme in small letters":     {token("bearer  " + p.secrets["opal"]), operator, "opal"},
		"a wrong token":                 {token("Bearer orderflow_AAAA"), nobody, ""},
		"a token in capitals":           {token("Bearer " + strings.ToUpper(p.secrets["opal"])), nobody, ""},
		"a token without its begin":     {token("Bearer " + strings.TrimPrefix(p.secrets["opal"], tokenPrefix)), nobody, ""},
		"a token and more":              {token("Bearer " + p.secrets["opal"] + "x"), nobody, ""},
		"the hash of a token":           {token("Bearer " + strings.Fields(p.lines["opal"])[2]), nobody, ""},
		"the token as a password":       {token("Basic " + p.secrets["opal"]), nobody, ""},
		"no scheme":                     {token(p.secrets["opal"]), nobody, ""},
		"an empty token":                {token("Bearer "), nobody, ""},
		"an empty header":               {token(""), nobody, ""},
		"two headers":                   {token("Bearer "+p.secrets["vic"], "Bearer "+p.secrets["opal"]), nobody, ""},
		"a token in the query":          {func(r *http.Request) { r.URL.RawQuery = "access_token=" + p.secrets["opal"] }, nobody, ""},
		"a viewer's session":            {func(r *http.Request) { withCookie(r, viewers) }, viewer, "vic"},
		"an operator's session":         {func(r *http.Request) { withCookie(r, operators) }, operator, "opal"},
		"a wrong session":               {func(r *http.Request) { withCookie(r, &http.Cookie{Name: operators.Name, Value: "x"}) }, nobody, ""},
		"a token as session":            {func(r *http.Request) { withCookie(r, &http.Cookie{Name: operators.Name, Value: p.secrets["opal"]}) }, nobody, ""},
		"a session as token":            {token("Bearer " + operators.Value), nobody, ""},
		"a session beside a wrong one":  {func(r *http.Request) { withCookie(r, operators); token("Bearer x")(r) }, nobody, ""},
		"the proxy's viewer":            {proxied("10.1.2.3:1", "pat"), viewer, "pat"},
		"the proxy's operator":          {proxied("10.1.2.3:1", "pam"), operator, "pam"},
		"the proxy by IPv6":             {proxied("[fd00::7%eth0]:1", "pam"), operator, "pam"},
		"the proxy by a mapped address": {proxied("[::ffff:10.1.2.3]:1", "pam"), operator, "pam"},
		"another address":               {proxied("10.1.3.3:1", "pam"), nobody, ""},
		"an address that says so":       {func(r *http.Request) { proxied("10.1.3.3:1", "pam")(r); r.Header.Set("X-Forwarded-For", "10.1.2.3") }, nobody, ""},
		"no address":                    {proxied("", "pam"), nobody, ""},
		"the proxy without a name":      {proxied("10.1.2.3:1", ""), nobody, ""},
		"the proxy with another name":   {proxied("10.1.2.3:1", "Pam"), viewer, "Pam"},
		"the proxy with two names":      {func(r *http.Request) { proxied("10.1.2.3:1", "pat")(r); proxied("10.1.2.3:1", "pam")(r) }, nobody, ""},
		"the proxy's unclean name":      {proxied("10.1.2.3:1", "pam\x00"), nobody, ""},
		"the proxy without its header":  {func(r *http.Request) { r.RemoteAddr = "10.1.2.3:1" }, nobody, ""},
		"a token by the proxy":          {func(r *http.Request) { r.RemoteAddr = "10.1.2.3:1"; token("Bearer " + p.secrets["vic"])(r) }, viewer, "vic"},
	}
	const page, profile, unknown, data = "/page", "/debug/pprof/heap", "/nowhere", "/channels"
	for name, way := range ways {
		for _, path := range []string{page, profile, unknown, data} {
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "X"} {
				g.wrong = newLimiter()
				reads := method == "GET" || method == "HEAD"
				want := http.StatusOK
				switch {
				case reads && path == page:
				case way.role == nobody:
					want = http.StatusUnauthorized
				case way.role == viewer && (!reads || path == profile):
					want = http.StatusForbidden
				}
				r := request(method, path, "")
				way.with(r)
				w := send(h, r)
				if w.Code != want {
					t.Errorf("%s: %s %s: answered %d %s, want %d", name, method, path, w.Code, w.Body, want)
					continue
				}
				challenge := w.Header().Get("WWW-Authenticate")
				if (want == http.StatusUnauthorized) != strings.HasPrefix(challenge, `Bearer realm="orderflow"`) {
					t.Errorf("%s: %s %s: the challenge is %q", name, method, path, challenge)
				}
				if want != http.StatusOK && w.Header().Get("Content-Type") != "application/problem+json" {
					t.Errorf("%s: %s %s: answered %v", name, method, path, w.Header())
				}
				if want == http.StatusOK && method == "GET" && path == data && !strings.HasPrefix(w.Body.String(), way.name+" "+way.role+" ") {
					t.Errorf("%s: the caller is %q, want %s %s", name, w.Body, way.name, way.role)
				}
				for _, secret := range []string{p.secrets["opal"], p.secrets["vic"], operators.Value, viewers.Value} {
					if strings.Contains(w.Body.String()+fmt.Sprint(w.Header())+log.String(), secret) {
						t.Fatalf("%s: an answer or the log shows the secret", name)
					}
				}
			}
		}
	}
	for _, want := range []string{"do not come from the proxy's addresses", "only an operator may send it", "a session began"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say that %q", want)
		}
	}
}

// A page of another origin can do nothing with the cookie of a browser, nor sign it in or out.
func TestForeignOrigin(t *testing.T) {
	p := newPeople(t)
	h := behind(NewGuard(p.open(t, quiet), Proxy{}, quiet))
	cookie := signIn(t, h, p.secrets["opal"])
	for _, headers := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example.com"}, {"Sec-Fetch-Site", "same-site", "Origin", "https://other.example.com"}} {
		for _, method := range []string{"POST", "PUT", "DELETE"} {
			for _, path := range []string{"/channels/x/pause", SessionPath} {
				if w := send(h, withCookie(request(method, path, `{}`, headers...), cookie)); w.Code != http.StatusForbidden || w.Result().Cookies() != nil && len(w.Result().Cookies()) > 0 {
					t.Errorf("%s %s of %v: answered %d %s", method, path, headers, w.Code, w.Body)
				}
			}
		}
	}
	if w := send(h, withCookie(request("GET", "/channels", "", "Sec-Fetch-Site", "cross-site"), cookie)); w.Code != http.StatusForbidden {
		t.Errorf("reading from another site: answered %d", w.Code)
	}
	if w := send(h, withCookie(request("POST", "/channels", "", "Sec-Fetch-Site", "same-origin", "Origin", "http://example.com"), cookie)); w.Code != http.StatusOK {
		t.Errorf("from the own page: answered %d %s", w.Code, w.Body)
	}
}

// Where nobody is asked, everybody is an operator without a name.
func TestOpen(t *testing.T) {
	g := NewGuard(nil, Proxy{}, quiet)
	h := behind(g)
	if w := send(h, request("POST", "/channels", "", "Authorization", "Bearer x", "X-Forwarded-User", "eve")); w.Code != http.StatusOK || w.Body.String() != " operator open http 10.9.8.7" {
		t.Errorf("answered %d %q", w.Code, w.Body)
	}
	if w := send(h, request("GET", SessionPath, "")); w.Code != http.StatusOK || strings.TrimSpace(w.Body.String()) != `{"name":"","role":"operator","by":"open"}` {
		t.Errorf("the session is %d %s", w.Code, w.Body)
	}
	if g.Asks() || !NewGuard(nil, Proxy{Header: "X"}, nil).Asks() {
		t.Error("Asks is wrong")
	}
}

// Wrong tokens are slowed down, each address on its own, and right ones never are.
func TestWrongTokensAreSlowedDown(t *testing.T) {
	p := newPeople(t)
	synctest.Test(t, func(t *testing.T) {
		g := NewGuard(p.open(t, quiet), Proxy{}, quiet)
		h := behind(g)
		wrong := func(from string) *http.Request {
			r := request("GET", "/channels", "", "Authorization", "Bearer orderflow_wrong")
			r.RemoteAddr = from
			return r
		}
		for i := range maxWrong {
			r := wrong("10.9.8.7:1")
			if i%2 == 1 { // a sign-in is as good
				r = request("POST", SessionPath, `{"token":"orderflow_wrong"}`)
			}
			if w := send(h, r); w.Code != http.StatusUnauthorized {
				t.Fatalf("wrong token %d: answered %d %s", i, w.Code, w.Body)
			}
		}
		for _, r := range []*http.Request{wrong("10.9.8.7:2"), request("POST", SessionPath, `{"token":"orderflow_wrong"}`)} {
			w := send(h, r)
			if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "3" || !strings.Contains(w.Body.String(), `"code":"wrong_tokens"`) {
				t.Errorf("one too many: answered %d %v %s", w.Code, w.Header(), w.Body)
			}
		}
		if w := send(h, wrong("10.9.8.8:1")); w.Code != http.StatusUnauthorized {
			t.Errorf("another address: answered %d", w.Code)
		}
		if w := send(h, request("GET", "/channels", "", "Authorization", "Bearer "+p.secrets["vic"])); w.Code != http.StatusOK {
			t.Errorf("a right token from that address: answered %d", w.Code)
		}
		if w := send(h, request("GET", "/channels", "")); w.Code != http.StatusUnauthorized {
			t.Errorf("no token from that address: answered %d", w.Code)
		}
		time.Sleep(3 * time.Second)
		if w := send(h, wrong("10.9.8.7:3")); w.Code != http.StatusUnauthorized {
			t.Errorf("after a while: answered %d", w.Code)
		}
		if w := send(h, wrong("10.9.8.7:3")); w.Code != http.StatusTooManyRequests {
			t.Errorf("at once again: answered %d", w.Code)
		}
	})
}

// The author of what a caller does is the caller.
func TestAuthor(t *testing.T) {
	for name, tt := range map[string]struct {
		caller Caller
		body   string
		want   string // empty: refused
	}{
		"nobody is asked":  {Caller{Role: Operator, By: Open}, `{}`, "http 10.9.8.7"},
		"a name is given":  {Caller{Role: Operator, By: Open}, `{"by":"ann"}`, "ann"},
		"an unclean name":  {Caller{Role: Operator, By: Open}, `{"by":" ann"}`, ""},
		"known":            {Caller{"opal", Operator, ByToken}, `{}`, "opal"},
		"the own name":     {Caller{"opal", Operator, ByToken}, `{"by":"opal"}`, "opal"},
		"another's name":   {Caller{"opal", Operator, BySession}, `{"by":"ann"}`, ""},
		"an empty name":    {Caller{"opal", Operator, ByProxy}, `{"by":""}`, ""},
		"a name in JSON":   {Caller{`o"p\l`, Operator, ByToken}, `{"by":"o\"p\\l"}`, `o"p\l`},
		"another's letter": {Caller{"opal", Operator, ByToken}, `{"by":"Opal"}`, ""},
	} {
		r := request("POST", "/x", tt.body)
		r = r.WithContext(withCaller(r.Context(), tt.caller))
		by, err := readAuthor(r)
		if (err == nil) != (tt.want != "") || err == nil && by != tt.want {
			t.Errorf("%s: got %q, %v", name, by, err)
		}
		if err != nil && tt.caller.Name != "" && !strings.Contains(fmt.Sprintf("%+v", err), "name of the caller: opal") {
			t.Errorf("%s: %+v does not name the caller", name, err)
		}
	}
}

// The hash of something that people have made up lets nobody in: it could be guessed.
func TestPasswordsAreNoTokens(t *testing.T) {
	p := newPeople(t)
	p.write(t, "ann operator 5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8") // of password
	h := behind(NewGuard(p.open(t, quiet), Proxy{}, quiet))
	if w := send(h, request("GET", "/channels", "", "Authorization", "Bearer password")); w.Code != http.StatusUnauthorized {
		t.Errorf("answered %d %s", w.Code, w.Body)
	}
}
