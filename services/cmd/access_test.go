package cmd_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/orderflow/services/access"
	"example.com/orderflow/services/internal/apitest"
	"example.com/orderflow/services/notification"
	"example.com/orderflow/services/order"
)

// route is a request to an admin address.
type route struct{ method, path, body string }

func (r route) reads() bool { return r.method == "GET" || r.method == "HEAD" }

// routesOf returns every operation of the description with each of its examples, and paths
// that the description does not have.
func routesOf(openAPI []byte) (routes []route) {
	for _, e := range apitest.Load(openAPI, func(string) bool { return true }).Examples() {
		routes = append(routes, route{e.Method, e.URL, e.Body})
		if e.Method == "GET" {
			routes = append(routes, route{"HEAD", e.URL, ""})
		}
	}
	for _, p := range []string{"/nowhere", "/console/", "/console/nowhere", "/console/overview", "/console/events", "/console/search?q=x", "/console/orders", "/console/orders/x",
		"/dead-letters/", "/dead-letters/jobs", "/dead-letters/groups", "/actions", "/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/symbol", "/status/", "/STATUS", "/session/x", "/index.html"} {
		routes = append(routes, route{"GET", p, ""}, route{"POST", p, "{}"}, route{"DELETE", p, ""})
	}
	for _, p := range []string{"//status", "/./status", "/console/../status", "/%73tatus", "/session/../status", "/console/app.js/../../status"} {
		routes = append(routes, route{"GET", p, ""})
	}
	return append(routes, route{"POST", "/", "{}"}, route{"DELETE", "/console/index.html", ""}, route{"PUT", "/dead-letters/replay", "{}"}, route{"X", "/status", ""}, route{"OPTIONS", "/status", ""})
}

// publicFiles returns the paths that everybody may read.
func publicFiles(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("../console/page")
	if err != nil || len(entries) == 0 {
		t.Fatal(err)
	}
	paths := []string{"/"}
	for _, e := range entries {
		switch path.Ext(e.Name()) {
		case ".html", ".css", ".js", ".svg":
			paths = append(paths, "/console/"+e.Name())
		}
	}
	return paths
}

// people are tokens of an admin address, by name.
type people struct {
	file    string
	secrets map[string]string
	lines   map[string]string
}

func newPeople(t *testing.T) *people {
	t.Helper()
	p := &people{filepath.Join(t.TempDir(), "tokens"), map[string]string{}, map[string]string{}}
	for name, role := range map[string]access.Role{"vic": access.Viewer, "opal": access.Operator, "rex": access.Operator} {
		token, secret, err := access.NewToken(name, role)
		if err != nil {
			t.Fatal(err)
		}
		p.secrets[name], p.lines[name] = secret, token.String()+"\n"
	}
	p.write(t, p.lines["vic"]+p.lines["opal"]+p.lines["rex"])
	return p
}

func (p *people) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(p.file+".next", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(p.file+".next", p.file); err != nil {
		t.Fatal(err)
	}
}

// proxyAddress is the address of the proxy that the services under test trust.
const proxyAddress = "127.0.0.9"

// asker sends requests with credentials.
type asker struct {
	client *http.Client
	base   string
}

func newAsker(base, from string) asker {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	return asker{&http.Client{
		Timeout: 30 * time.Second, Transport: &http.Transport{DialContext: dialer.DialContext, MaxIdleConns: 1, MaxIdleConnsPerHost: 1},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, base}
}

// send returns the answer without its body, which may have no end.
func (a asker) send(t *testing.T, to route, header http.Header) *http.Response {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, to.method, a.base+to.path, strings.NewReader(to.body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header.Clone()
	if to.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	response, err := a.client.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", to.method, to.path, err)
	}
	if response.Header.Get("Content-Type") != "text/event-stream" {
		_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<20)) // so that the connection is used again
	}
	response.Body.Close()
	return response
}

// cookieOf begins a session, and returns the header with its cookie.
func (a asker) cookieOf(t *testing.T, secret string) http.Header {
	t.Helper()
	response := a.send(t, route{"POST", "/session", `{"token":"` + secret + `"}`}, http.Header{})
	if response.StatusCode != http.StatusOK || len(response.Cookies()) != 1 {
		t.Fatalf("sign in: %v", response)
	}
	c := response.Cookies()[0]
	return http.Header{"Cookie": {c.Name + "=" + c.Value}}
}

// Every route of the admin address of each program × every kind of credential. Nothing is
// open but the page and the sign-in, viewers change nothing, and no secret is in the log.
func TestAdminAccess(t *testing.T) {
	for name, program := range map[string]struct {
		openAPI []byte
		prepare func(t *testing.T, args ...string) (p *process, ready string)
	}{
		"order": {order.OpenAPI, orderAlone},
		"notification": {notification.OpenAPI, func(t *testing.T, args ...string) (*process, string) {
			address := freeAddress(t)
			return prepare("notification", append(append(oneFile(t), "--addr="+address), args...)...), address
		}},
		"orderflow": {notification.OpenAPI, func(t *testing.T, args ...string) (*process, string) {
			p, orders, _ := allInOne(t, args...)
			return p, orders
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			people, admin := newPeople(t), freeAddress(t)
			p, ready := program.prepare(t, "--admin-addr="+admin, "--admin-tokens-file="+people.file, "--log-level=debug",
				"--admin-trust-header=X-Test-User", "--admin-trust-from="+proxyAddress, "--admin-trust-operators=pam")
			p.start(t)
			awaitReady(t, ready)
			anybody, proxy := newAsker("http://"+admin, "127.0.0.1"), newAsker("http://"+admin, proxyAddress)

			bearer := func(secret string) http.Header { return http.Header{"Authorization": {"Bearer " + secret}} }
			removed := anybody.cookieOf(t, people.secrets["rex"])
			people.write(t, people.lines["vic"]+people.lines["opal"])
			eventually(t, func() error {
				if response := anybody.send(t, route{"GET", "/status", ""}, removed); response.StatusCode != http.StatusUnauthorized {
					return fmt.Errorf("a removed token's session: answered %s", response.Status)
				}
				return nil
			})
			foreign := anybody.cookieOf(t, people.secrets["opal"])
			foreign.Set("Origin", "https://evil.example.com")
			foreign.Set("Sec-Fetch-Site", "cross-site")
			const nobody, viewer, operator, page = "nobody", "viewer", "operator", "a foreign page"
			ways := []struct {
				name   string
				from   asker
				header http.Header
				role   string
			}{
				{"nothing", anybody, http.Header{}, nobody},
				{"a wrong token", anybody, bearer("orderflow_wrong"), nobody},
				{"a removed token", anybody, bearer(people.secrets["rex"]), nobody},
				{"a removed token's session", anybody, removed, nobody},
				{"a wrong session", anybody, http.Header{"Cookie": {"orderflow-session=x; __Host-orderflow-session=x"}}, nobody},
				{"the proxy's header from another address", anybody, http.Header{"X-Test-User": {"pam"}, "X-Forwarded-For": {proxyAddress}}, nobody},
				{"the proxy without its header", proxy, http.Header{}, nobody},
				{"a foreign page with an operator's session", anybody, foreign, page},
				{"a viewer's token", anybody, bearer(people.secrets["vic"]), viewer},
				{"a viewer's session", anybody, anybody.cookieOf(t, people.secrets["vic"]), viewer},
				{"the proxy's viewer", proxy, http.Header{"X-Test-User": {"pat"}}, viewer},
				{"an operator's token", anybody, bearer(people.secrets["opal"]), operator},
				{"an operator's session", anybody, anybody.cookieOf(t, people.secrets["opal"]), operator},
				{"the proxy's operator", proxy, http.Header{"X-Test-User": {"pam"}}, operator},
			}
			routes, public := routesOf(program.openAPI), publicFiles(t)
			if len(routes) < 70 {
				t.Fatalf("only %d routes were found", len(routes))
			}
			for _, way := range ways {
				for _, to := range routes {
					if to.path == "/session" {
						continue // everybody may ask there; the tests of access try it
					}
					got := way.from.send(t, to, way.header).StatusCode
					isRefusal := got == http.StatusUnauthorized || got == http.StatusTooManyRequests
					mayNot := way.role == viewer && (!to.reads() || strings.HasPrefix(to.path, access.Profiles))
					var ok bool
					switch {
					case got == http.StatusTemporaryRedirect && path.Clean(to.path) != to.path:
						ok = true // to the clean path
					case way.role == page || mayNot:
						ok = got == http.StatusForbidden
					case to.reads() && slices.Contains(public, to.path):
						ok = got == http.StatusOK || name == "order" && got == http.StatusNotFound
					case way.role == nobody:
						ok = isRefusal
					default:
						ok = !isRefusal && got != http.StatusForbidden
					}
					if !ok {
						t.Errorf("%s: %s %s: answered %d", way.name, to.method, to.path, got)
					}
				}
			}
			if name != "order" { // which has no page
				for _, file := range public {
					for _, header := range []http.Header{{}, bearer("wrong"), bearer(people.secrets["vic"])} {
						if got := anybody.send(t, route{"GET", file, ""}, header).StatusCode; got != http.StatusOK {
							t.Errorf("%s: answered %d", file, got)
						}
					}
				}
			}
			var counted bool
			for line := range strings.Lines(metricsOf(t, "http://"+admin, bearer(people.secrets["vic"]))) {
				counted = counted || strings.HasPrefix(line, `orderflow_admin_refused_total{reason="slowed_down"`)
			}
			if !counted {
				t.Error("refused requests are not counted")
			}
			for name, secret := range people.secrets {
				if strings.Contains(p.out.String(), secret) || strings.Contains(p.out.String(), strings.Fields(people.lines[name])[2]) {
					t.Errorf("the log has the token of %s, or its hash", name)
				}
			}
		})
	}
}

// metricsOf returns what Prometheus scrapes with the credentials.
func metricsOf(t *testing.T, base string, header http.Header) string {
	t.Helper()
	r, err := http.NewRequest("GET", base+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("metrics: %s, %v", response.Status, err)
	}
	return string(text)
}

// An admin address that other machines reach needs tokens or a proxy.
func TestAdminAddressIsNotOpen(t *testing.T) {
	people := newPeople(t)
	for _, name := range []string{"order", "notification", "orderflow"} {
		for _, address := range []string{":0", "0.0.0.0:0", "[::]:0"} {
			status, _, stderr := run(t, nil, name, "--admin-addr="+address, "--store=mongodb://localhost:1/d", "--broker=amqp://localhost:1/")
			if status != 1 || strings.Count(stderr, "\n") != 1 {
				t.Errorf("%s %s: exit status %d, %q", name, address, status, stderr)
			}
			for _, way := range []string{"--admin-addr (ADMIN_ADDR)", "localhost:0", "--admin-tokens-file", "token new", "--admin-trust-header"} {
				if !strings.Contains(stderr, way) {
					t.Errorf("%s %s: %q does not say %s", name, address, stderr, way)
				}
			}
		}
	}
	for _, ways := range [][]string{{"--admin-tokens-file=" + people.file}, {"--admin-trust-header=X-User", "--admin-trust-from=10.0.0.1"}} {
		p, address := orderAlone(t, append(ways, "--admin-addr=:0")...)
		p.start(t)
		awaitReady(t, address)
		if warns := strings.Contains(p.out.String(), "travel without encryption"); warns != (len(ways) == 1) {
			t.Errorf("%v: warns of tokens in the clear: %v", ways, warns)
		}
		p.stopWell(t, syscall.SIGTERM)
	}
}

// A token that the command makes is for services that run, and for the other commands.
func TestTokens(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens")
	make := func(name, role string) string {
		t.Helper()
		status, stdout, stderr := run(t, []string{"ADMIN_TOKENS_FILE=" + file}, "order", "token", "new", name, "--role="+role)
		secret := strings.TrimSpace(stdout)
		if status != 0 || !strings.HasPrefix(secret, "orderflow_") || strings.Count(stdout, "\n") != 1 || strings.Contains(stderr, secret) {
			t.Fatalf("exit status %d, %q, %q", status, stdout, stderr)
		}
		return secret
	}
	viewer := make("vic", "viewer")
	admin := freeAddress(t)
	p, address := orderAlone(t, "--admin-addr="+admin, "--admin-tokens-file="+file)
	p.start(t)
	awaitReady(t, address)
	operator := make("opal", "operator")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file has %v, %v", info.Mode(), err)
	}
	status, stdout, _ := run(t, nil, "notification", "token", "list", "--admin-tokens-file="+file)
	if want := "NAME  ROLE\nvic   viewer\nopal  operator\n"; status != 0 || stdout != want {
		t.Errorf("exit status %d, %q, want %q", status, stdout, want)
	}
	if status, _, stderr := run(t, nil, "order", "token", "new", "vic", "--role=operator", "--admin-tokens-file="+file); status != 1 || !strings.Contains(stderr, "nothing was added: line 3: name or hash are those of line 1") {
		t.Errorf("a name twice: exit status %d, %q", status, stderr)
	}
	status, stdout, stderr := run(t, nil, "orderflow", "token", "new", "pat", "--role=viewer")
	token := strings.TrimSpace(stdout)
	if status != 0 || !strings.HasPrefix(token, "orderflow_") || !strings.Contains(stderr, "\npat viewer ") || strings.Contains(stderr, token) {
		t.Errorf("without a file: exit status %d, %q, %q", status, stdout, stderr)
	}

	tokenFile := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(tokenFile, []byte(viewer+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		env  []string
		want string // part of the error; empty: none
	}{
		"a viewer":        {[]string{"ORDERFLOW_TOKEN=" + viewer}, ""},
		"a viewer's file": {[]string{"ORDERFLOW_TOKEN_FILE=" + tokenFile}, ""},
		"no token":        {nil, "asks for a token; set ORDERFLOW_TOKEN"},
		"a wrong token":   {[]string{"ORDERFLOW_TOKEN=orderflow_hunter2"}, "does not know the token of ORDERFLOW_TOKEN"},
		"both":            {[]string{"ORDERFLOW_TOKEN=x", "ORDERFLOW_TOKEN_FILE=" + tokenFile}, "remove one of them"},
		"no file":         {[]string{"ORDERFLOW_TOKEN_FILE=/nonexistent/x"}, "ORDERFLOW_TOKEN_FILE"},
		"a foreign byte":  {[]string{"ORDERFLOW_TOKEN=hunter2\x01"}, "ORDERFLOW_TOKEN"},
	} {
		status, stdout, stderr := run(t, tt.env, "order", "status", "--admin-addr="+admin)
		if (status == 0) != (tt.want == "") || !strings.Contains(stderr, tt.want) || strings.Contains(stdout+stderr, "hunter2") || strings.Contains(stdout+stderr, viewer) {
			t.Errorf("%s: exit status %d, %q, %q", name, status, stdout, stderr)
		}
	}
	a := newAsker("http://"+admin, "127.0.0.1")
	eventually(t, func() error { // it has read the new token
		response := a.send(t, route{"PUT", "/log-level", `{"level":"debug"}`}, http.Header{"Authorization": {"Bearer " + operator}})
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("an operator: answered %s", response.Status)
		}
		return nil
	})
	awaitLine(t, p, `"by":"opal"`)
	if strings.Contains(p.out.String(), viewer) || strings.Contains(p.out.String(), operator) {
		t.Error("the log shows a token")
	}
}
