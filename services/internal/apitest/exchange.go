package apitest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// Do sends the request to the handler and checks the answer. Its findings are
// reported by Main.
func (d *Document) Do(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	var sent bytes.Buffer
	if r.Body != nil {
		r.Body = teeBody{io.TeeReader(r.Body, &sent), r.Body}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	e := exchange{d: d, request: r, sent: sent.Bytes(), answer: w.Result(), body: w.Body.Bytes()}
	if err := e.check(); err != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.faults = append(d.faults, fmt.Sprintf("%s %.200s %.200s\n\tanswered %d %.300s\n\t%v", r.Method, r.URL, sent.Bytes(), w.Code, w.Body, err))
	}
	return w
}

type teeBody struct {
	io.Reader
	io.Closer
}

// exchange is a request with its answer, and what the document says of it.
type exchange struct {
	d          *Document
	request    *http.Request
	sent       []byte
	answer     *http.Response // without its body, which is the caller's
	body       []byte
	path       *path
	parameters map[string]string
	operation  *openapi3.Operation
}

func (e *exchange) check() error {
	if e.path, e.parameters = e.d.find(e.request.URL); e.path != nil {
		e.operation = e.path.operation(e.request.Method)
	}
	switch status := e.answer.StatusCode; {
	case status == http.StatusTemporaryRedirect: // to the clean path
		return nil
	case e.path == nil:
		return e.checkProblem(http.StatusNotFound, http.StatusForbidden, http.StatusServiceUnavailable)
	case e.operation == nil:
		if allow := e.answer.Header.Get("Allow"); status == http.StatusMethodNotAllowed && allow != e.path.allow() {
			return fmt.Errorf("the answer allows %s, the document %s", allow, e.path.allow())
		}
		return e.checkProblem(http.StatusMethodNotAllowed, http.StatusForbidden, http.StatusServiceUnavailable)
	}
	return errors.Join(e.checkAnswer(), e.checkRequest())
}

// checkProblem checks an answer that belongs to no operation.
func (e *exchange) checkProblem(allowed ...int) error {
	for _, status := range allowed {
		if e.answer.StatusCode == status {
			if e.request.Method == http.MethodHead || e.request.Method == http.MethodConnect {
				return nil
			}
			schema := e.d.doc.Components.Schemas["Problem"]
			return e.checkValue(schema, "#/components/schemas/Problem")
		}
	}
	return errors.New("the document has no such operation")
}

// checkAnswer checks status, headers and body.
func (e *exchange) checkAnswer() error {
	status := e.answer.StatusCode
	ref := e.operation.Responses.Status(status)
	if ref == nil {
		return errors.New("the document has no such status for this operation")
	}
	place := fmt.Sprintf("%s answers %d", e.operation.OperationID, status)
	e.d.see(place)
	if err := e.checkHeaders(ref.Value, shared(ref.Ref, place)); err != nil {
		return err
	}
	if e.request.Method == http.MethodHead {
		return nil
	}
	if len(ref.Value.Content) == 0 {
		if len(e.body) > 0 {
			return errors.New("the document has no body")
		}
		return nil
	}
	mediaType, _, err := mime.ParseMediaType(e.answer.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	content := ref.Value.Content[mediaType]
	if content == nil {
		return fmt.Errorf("the document has no answer of type %s", mediaType)
	}
	place = shared(ref.Ref, place) + " as " + mediaType
	e.d.see(place)
	if strings.HasSuffix(mediaType, "json") {
		return e.checkValue(content.Schema, place)
	}
	return nil
}

// shared returns the name of a component, or of the only place that has the part.
func shared(ref, place string) string {
	if ref != "" {
		return ref
	}
	return place
}

// serverHeaders are on every answer, and speak of no operation.
var serverHeaders = []string{"Cache-Control", "Connection", "Content-Length", "Content-Type", "X-Content-Type-Options"}

func (e *exchange) checkHeaders(response *openapi3.Response, place string) error {
	undocumented := e.answer.Header.Clone()
	for _, name := range serverHeaders {
		undocumented.Del(name)
	}
	if e.operation.Responses.Status(http.StatusTooManyRequests) != nil { // then every answer may have these
		undocumented.Del("RateLimit")
		undocumented.Del("RateLimit-Policy")
	}
	for name, header := range response.Headers {
		values := e.answer.Header.Values(name)
		undocumented.Del(name)
		switch {
		case len(values) > 0:
			e.d.see(place + " with the header " + name)
		case header.Value.Required:
			return fmt.Errorf("the header %s is missing", name)
		}
	}
	if len(undocumented) > 0 {
		return fmt.Errorf("the document does not have these headers: %v", undocumented)
	}
	input := e.input()
	options := *input.Options
	options.ExcludeResponseBody = true
	return openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: e.answer.StatusCode, Header: e.answer.Header, Options: &options,
	})
}

// checkValue checks the body against the schema of this place.
func (e *exchange) checkValue(schema *openapi3.SchemaRef, place string) error {
	var value any
	if err := json.Unmarshal(e.body, &value); err != nil {
		return fmt.Errorf("the body is not JSON: %w", err)
	}
	if err := schema.Value.VisitJSON(value, openapi3.EnableJSONSchema2020(), openapi3.MultiErrors()); err != nil {
		return fmt.Errorf("the body does not match %s: %w", place, err)
	}
	e.d.seeFields(schema, place, value)
	if problem, ok := value.(map[string]any); ok && e.answer.StatusCode >= http.StatusBadRequest && problem["code"] != nil {
		e.d.see(fmt.Sprintf("%s with the code %v", place, problem["code"]))
	}
	return nil
}

// checkRequest checks that a request that was carried out is documented.
func (e *exchange) checkRequest() error {
	if e.answer.StatusCode >= http.StatusMultipleChoices {
		return nil
	}
	for name := range e.request.URL.Query() {
		if e.parameter(name) == nil {
			return fmt.Errorf("the document has no query parameter %s", name)
		}
	}
	if err := openapi3filter.ValidateRequest(context.Background(), e.input()); err != nil {
		return fmt.Errorf("the request was carried out, but the document refuses it: %w", err)
	}
	return nil
}

func (e *exchange) parameter(name string) *openapi3.Parameter {
	return e.operation.Parameters.GetByInAndName(openapi3.ParameterInQuery, name)
}

func (e *exchange) input() *openapi3filter.RequestValidationInput {
	r := e.request.Clone(context.Background())
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(e.sent)), int64(len(e.sent))
	if len(e.sent) == 0 {
		r.Body = http.NoBody
	}
	return &openapi3filter.RequestValidationInput{
		Request: r, PathParams: e.parameters, QueryParams: r.URL.Query(),
		Route:   &routers.Route{Spec: e.d.doc, Path: e.path.template, PathItem: e.path.item, Method: r.Method, Operation: e.operation},
		Options: &openapi3filter.Options{MultiError: true, IncludeResponseStatus: true, SkipSettingDefaults: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	}
}
