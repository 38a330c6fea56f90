package apitest_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"example.com/orderflow/services/internal/apitest"
)

const document = `
openapi: 3.1.1
info: {title: things, version: 1.0.0}
paths:
  /things/{id}:
    parameters:
      - {name: id, in: path, required: true, schema: {type: string}, example: a/b}
    get:
      operationId: getThing
      parameters:
        - {name: color, in: query, schema: {type: string, minLength: 2}}
      responses:
        '200':
          description: A thing.
          headers:
            Age: {required: true, schema: {type: integer}}
          content:
            application/json: {schema: {$ref: '#/components/schemas/Thing'}}
        '404':
          description: None.
          content:
            application/problem+json:
              schema:
                $ref: '#/components/schemas/Problem'
                properties: {code: {enum: [not_found, gone]}}
    put:
      operationId: putThing
      requestBody:
        required: true
        content:
          application/json:
            schema: {$ref: '#/components/schemas/Thing'}
            examples: {big: {value: {size: 3}}}
      responses:
        '204': {description: Stored.}
components:
  schemas:
    Thing:
      type: object
      required: [size]
      properties:
        size: {type: integer}
        parts: {type: array, items: {type: object, properties: {name: {type: string}}}}
    Problem:
      type: object
      required: [code]
      properties: {code: {type: string}}
`

// answer is what the handler under test answers.
type answer struct {
	status  int
	headers string // one header, such as "Age: 1"
	body    string
}

func (a answer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/json")
	if a.status >= 400 {
		w.Header().Set("Content-Type", "application/problem+json")
	}
	if name, value, ok := strings.Cut(a.headers, ": "); ok {
		w.Header().Set(name, value)
	}
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.body)
}

func TestFaultsAreFound(t *testing.T) {
	thing := answer{200, "Age: 1", `{"size":1}`}
	for name, tt := range map[string]struct {
		method, url, body string
		answer            answer
		want              string // part of the fault; empty: none
	}{
		"good":                   {"GET", "/things/a", "", thing, ""},
		"escaped id":             {"GET", "/things/a%2Fb", "", thing, ""},
		"HEAD":                   {"HEAD", "/things/a", "", answer{200, "Age: 1", ""}, ""},
		"redirect":               {"GET", "/things//a", "", answer{307, "", ""}, ""},
		"no body":                {"PUT", "/things/a", `{"size":1}`, answer{204, "", ""}, ""},
		"unknown path":           {"GET", "/", "", answer{404, "", `{"code":"not_found"}`}, ""},
		"undocumented path":      {"GET", "/", "", thing, "the document has no such operation"},
		"undocumented method":    {"DELETE", "/things/a", "", answer{204, "", ""}, "the document has no such operation"},
		"another Allow":          {"DELETE", "/things/a", "", answer{405, "Allow: GET", `{"code":"x"}`}, "the answer allows GET, the document GET, HEAD, PUT"},
		"undocumented status":    {"GET", "/things/a", "", answer{201, "", `{"size":1}`}, "no such status"},
		"undocumented field":     {"GET", "/things/a", "", answer{200, "Age: 1", `{"size":1,"color":"red"}`}, "additional properties 'color' not allowed"},
		"undocumented part":      {"GET", "/things/a", "", answer{200, "Age: 1", `{"size":1,"parts":[{"x":1}]}`}, "additional properties 'x' not allowed"},
		"wrong type of a field":  {"GET", "/things/a", "", answer{200, "Age: 1", `{"size":"1"}`}, "want integer"},
		"missing field":          {"GET", "/things/a", "", answer{200, "Age: 1", `{}`}, "missing property 'size'"},
		"undocumented header":    {"GET", "/things/a", "", answer{404, "Etag: 1", `{"code":"gone"}`}, "does not have these headers"},
		"missing header":         {"GET", "/things/a", "", answer{200, "", `{"size":1}`}, "the header Age is missing"},
		"wrong header":           {"GET", "/things/a", "", answer{200, "Age: old", `{"size":1}`}, `header "Age"`},
		"undocumented code":      {"GET", "/things/a", "", answer{404, "", `{"code":"lost"}`}, "value must be one of 'not_found', 'gone'"},
		"undocumented body":      {"PUT", "/things/a", `{"size":1}`, answer{204, "", `{}`}, "the document has no body"},
		"undocumented parameter": {"GET", "/things/a?size=1", "", thing, "no query parameter size"},
		"wrong parameter":        {"GET", "/things/a?color=x", "", thing, "the document refuses it"},
		"wrong request":          {"PUT", "/things/a", `{"size":"1"}`, answer{204, "", ""}, "the document refuses it"},
	} {
		t.Run(name, func(t *testing.T) {
			d := apitest.Load([]byte(document), func(string) bool { return true })
			r := httptest.NewRequest(tt.method, tt.url, strings.NewReader(tt.body))
			if tt.body != "" {
				r.Header.Set("Content-Type", "application/json")
			}
			d.Do(tt.answer, r)
			var out bytes.Buffer
			status := d.Report(&out, false)
			if status == 0 != (tt.want == "") || !strings.Contains(out.String(), tt.want) {
				t.Errorf("got %d, %s\nwant %q", status, out.String(), tt.want)
			}
		})
	}
}

func TestUnseenIsFound(t *testing.T) {
	d := apitest.Load([]byte(document), func(string) bool { return true })
	for _, a := range []answer{{200, "Age: 1", `{"size":1,"parts":[{}]}`}, {404, "", `{"code":"gone"}`}} {
		d.Do(a, httptest.NewRequest("GET", "/things/a", nil))
	}
	var out bytes.Buffer
	status := d.Report(&out, true)
	const want = `FAIL: the answers differ from openapi.yaml:
documented, but no test has seen it: #/components/schemas/Thing.parts[].name
documented, but no test has seen it: getThing answers 404 as application/problem+json with the code not_found
documented, but no test has seen it: putThing answers 204
`
	if status != 1 || out.String() != want {
		t.Errorf("got %d, %s\nwant %s", status, out.String(), want)
	}
}
