package access

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/orderflow/services/internal/httpapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

// people are tokens in a file, with their secrets by name.
type people struct {
	path    string
	secrets map[string]string
	lines   map[string]string
}

// newPeople writes a file with the tokens of vic, a viewer, and opal, an operator.
func newPeople(t *testing.T) *people {
	t.Helper()
	p := &people{path: filepath.Join(t.TempDir(), "tokens"), secrets: map[string]string{}, lines: map[string]string{}}
	for name, role := range map[string]Role{"vic": Viewer, "opal": Operator} {
		token, secret, err := NewToken(name, role)
		if err != nil {
			t.Fatal(err)
		}
		p.secrets[name], p.lines[name] = secret, token.String()
	}
	p.write(t, p.lines["vic"]+"\n"+p.lines["opal"]+"\n")
	return p
}

// write replaces the file, as an editor does.
func (p *people) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(p.path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(p.path+".new", p.path); err != nil {
		t.Fatal(err)
	}
}

func (p *people) open(t *testing.T, log *slog.Logger) *TokensFile {
	t.Helper()
	tokens, err := OpenTokens(p.path, log)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

// behind returns a handler like those of the programs: it answers with the caller's name.
func behind(g *Guard) http.Handler {
	mux := http.NewServeMux()
	sessions := httpapi.NewOperatorAPI(g.Routes(), quiet)
	mux.Handle(SessionPath, &sessions)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		c, ok := CallerOf(r.Context())
		if !ok && g.IsPublic != nil && g.IsPublic(r.URL.Path) {
			return
		}
		_, _ = w.Write([]byte(c.Name + " " + string(c.Role) + " " + string(c.By) + " " + Author(r)))
	})
	return httpapi.ForOperators(g.Handler(mux), quiet)
}

// request returns a request from a client at 10.9.8.7, with headers as name, value pairs.
func request(method, path, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.RemoteAddr = "10.9.8.7:4711"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func send(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// signIn begins a session, and returns its cookie.
func signIn(t *testing.T, h http.Handler, secret string, headers ...string) *http.Cookie {
	t.Helper()
	w := send(h, request("POST", SessionPath, `{"token":"`+secret+`"}`, headers...))
	cookies := w.Result().Cookies()
	if w.Code != http.StatusOK || len(cookies) != 1 {
		t.Fatalf("sign in: answered %d %s %v", w.Code, w.Body, cookies)
	}
	return cookies[0]
}

func withCookie(r *http.Request, c *http.Cookie) *http.Request {
	r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	return r
}

func newLimiter() *httpapi.Limiter { return httpapi.NewLimiter(maxWrong, time.Minute) }

func readAuthor(r *http.Request) (by string, err error) {
	err = httpapi.ReadObject(httptest.NewRecorder(), r, "a test", AuthorField(r, &by))
	var p *httpapi.Problem
	if errors.As(err, &p) {
		err = fmt.Errorf("%w %v", err, p.Errors)
	}
	return by, err
}
