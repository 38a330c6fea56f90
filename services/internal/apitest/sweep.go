package apitest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"example.com/orderflow/services/access"
	"example.com/orderflow/services/internal/httpapi"
)

// Example is an operation of the document with one of its examples of a request.
type Example struct {
	Name        string // the operation's id, and the example's name
	Method, URL string
	Type, Body  string // the body's; empty: none

	admin   bool // at the admin address
	queried bool // has parameters in the query
}

// Examples returns each operation with each example of its body, or once without a
// body. The URL has the examples of the parameters.
func (d *Document) Examples() (examples []Example) {
	for _, p := range d.paths {
		for method, operation := range p.item.Operations() {
			path, query := p.template, url.Values{}
			for _, parameter := range append(p.item.Parameters, operation.Parameters...) {
				switch value := parameter.Value.Example; {
				case parameter.Value.In == openapi3.ParameterInPath:
					path = strings.ReplaceAll(path, "{"+parameter.Value.Name+"}", url.PathEscape(fmt.Sprint(value)))
				case parameter.Value.In == openapi3.ParameterInQuery && value != nil: // a cursor has no example
					query.Set(parameter.Value.Name, fmt.Sprint(value))
				}
			}
			if len(query) > 0 {
				path += "?" + query.Encode()
			}
			bare := Example{Name: operation.OperationID, Method: method, URL: path, admin: isAdmin(operation), queried: len(query) > 0}
			if operation.RequestBody == nil {
				examples = append(examples, bare)
				continue
			}
			for mediaType, content := range operation.RequestBody.Value.Content {
				for _, name := range slices.Sorted(maps.Keys(content.Examples)) {
					body, err := json.Marshal(content.Examples[name].Value.Value)
					if err != nil {
						panic(err)
					}
					e := bare
					e.Name, e.Type, e.Body = bare.Name+" "+name, mediaType, string(body)
					examples = append(examples, e)
				}
			}
		}
	}
	slices.SortFunc(examples, func(a, b Example) int { return strings.Compare(a.Name, b.Name) })
	return examples
}

// isAdmin reports whether the operation is one of the admin address.
func isAdmin(operation *openapi3.Operation) bool {
	forbidden := operation.Responses.Status(http.StatusForbidden)
	return forbidden != nil && (forbidden.Ref == "#/components/responses/AdminForbidden" || forbidden.Ref == "#/components/responses/OperatorsOnly")
}

// Request returns the request of the example.
func (e Example) Request() *http.Request { return e.with(strings.NewReader(e.Body)) }

func (e Example) with(body io.Reader) *http.Request {
	r := httptest.NewRequest(e.Method, e.URL, body)
	if e.Type != "" {
		r.Header.Set("Content-Type", e.Type)
	}
	return r
}

// CheckRefusals sends each example in the ways that every handler refuses: with a body
// that is malformed, too large, too slow or of another type, with a malformed query, and with a large header
// while no memory is free. Operations of the admin address also get requests of a web page of another
// origin, for another host, and of callers whom a guard refuses.
func (d *Document) CheckRefusals(t *testing.T, h http.Handler) {
	t.Helper()
	expect := func(e Example, r *http.Request, status int) {
		t.Helper()
		if w := d.Do(h, r); w.Code != status {
			t.Errorf("%s: answered %d %s, want %d", e.Name, w.Code, w.Body, status)
		}
	}
	guarded, viewer := guard(t, h)
	for _, e := range d.Examples() {
		if e.admin {
			d.checkGuard(t, e, guarded, viewer)
			ofAPage := e.Request()
			ofAPage.Header.Set("Sec-Fetch-Site", "cross-site")
			expect(e, ofAPage, http.StatusForbidden)
			loopback := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9081}
			r := e.Request() // its host is example.com
			expect(e, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, loopback)), http.StatusForbidden)
		}
		if e.Type == "" {
			if e.queried {
				r := e.Request()
				r.URL.RawQuery = "limit=%zz"
				expect(e, r, http.StatusBadRequest)
			}
			continue
		}
		otherType := e.Request()
		otherType.Header.Set("Content-Type", "text/plain")
		expect(e, otherType, http.StatusUnsupportedMediaType)
		expect(e, e.with(strings.NewReader("{")), http.StatusBadRequest)
		expect(e, e.with(strings.NewReader(`{"x":"`+strings.Repeat("x", 64<<10)+`"}`)), http.StatusRequestEntityTooLarge)
		expect(e, e.with(slowBody{}), http.StatusRequestTimeout)
	}
	release := holdMemory(t)
	defer release()
	for _, e := range d.Examples() {
		r := e.Request()
		r.Header.Set("X-Large", strings.Repeat("x", 5<<10))
		expect(e, r, http.StatusServiceUnavailable)
	}
}

// guard returns the handler behind a guard, and the token of a viewer.
func guard(t *testing.T, h http.Handler) (guarded http.Handler, viewer string) {
	t.Helper()
	token, viewer, err := access.NewToken("vic", access.Viewer)
	path := filepath.Join(t.TempDir(), "tokens")
	if err == nil {
		err = os.WriteFile(path, []byte(token.String()), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := access.OpenTokens(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return httpapi.ForOperators(access.NewGuard(tokens, access.Proxy{}, nil).Handler(h), nil), viewer
}

// checkGuard sends the example without a token, with wrong ones, and as a viewer.
func (d *Document) checkGuard(t *testing.T, e Example, guarded http.Handler, viewer string) {
	t.Helper()
	if e.isOfSession() {
		return
	}
	do := func(token string) int {
		r := e.Request()
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		return d.Do(guarded, r).Code
	}
	if status := do(""); status != http.StatusUnauthorized {
		t.Errorf("%s: answered %d without a token", e.Name, status)
	}
	var status int
	for range 25 {
		if status = do("wrong"); status != http.StatusUnauthorized {
			break
		}
	}
	if status != http.StatusTooManyRequests {
		t.Errorf("%s: answered %d to many wrong tokens", e.Name, status)
	}
	if e.Method == http.MethodGet {
		return
	}
	if status := do(viewer); status != http.StatusForbidden {
		t.Errorf("%s: answered %d to a viewer", e.Name, status)
	}
}

// isOfSession reports whether the operation is one that makes callers known.
func (e Example) isOfSession() bool { return e.URL == access.SessionPath }

// slowBody does not arrive in time.
type slowBody struct{}

func (slowBody) Read([]byte) (int, error) { return 0, os.ErrDeadlineExceeded }

// holdMemory takes all the memory that requests and answers share.
func holdMemory(t *testing.T) (release func()) {
	t.Helper()
	held, over, done := make(chan error), make(chan struct{}), make(chan struct{})
	h := httpapi.NewHandler(httpapi.Routes{"/all": {http.MethodGet: func(w http.ResponseWriter, r *http.Request) error {
		const all = 32 << 20 / (8 << 10) // items
		held <- httpapi.ReservePage(r.Context(), w, all)
		<-over
		return nil
	}}}, nil, nil)
	go func() {
		defer close(done)
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/all", nil))
	}()
	if err := <-held; err != nil {
		t.Fatal(err)
	}
	return func() { close(over); <-done }
}
