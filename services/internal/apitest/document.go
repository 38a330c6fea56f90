// Package apitest checks a handler's traffic against its OpenAPI document, in both
// directions: nothing undocumented is answered, and everything documented was seen.
//
// Tests send their requests by [Document.Do]. [Main] checks at the end that they have
// seen all of the document.
package apitest

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/goccy/go-yaml"
)

// Document is an OpenAPI document, or those of its paths that one package serves.
type Document struct {
	doc   *openapi3.T
	paths []path

	mu     sync.Mutex
	faults []string
	seen   map[string]bool // the places of the document that the traffic has shown
}

// path is a path of the document.
type path struct {
	template string
	names    []string // of its parameters
	matches  *regexp.Regexp
	item     *openapi3.PathItem
}

var parameter = regexp.MustCompile(`\{([^}]+)\}`)

// Load returns the document with the paths that belong to the caller. It panics if the
// document is not valid.
func Load(document []byte, belongs func(path string) bool) *Document {
	d := &Document{doc: parse(strictly(document)), seen: map[string]bool{}}
	for template, item := range d.doc.Paths.Map() {
		if !belongs(template) {
			continue
		}
		pattern := parameter.ReplaceAllString(strings.ReplaceAll(template, ".", `\.`), `([^/]+)`)
		p := path{template: template, matches: regexp.MustCompile("^" + pattern + "$"), item: item}
		for _, match := range parameter.FindAllStringSubmatch(template, -1) {
			p.names = append(p.names, match[1])
		}
		d.paths = append(d.paths, p)
	}
	slices.SortFunc(d.paths, func(a, b path) int { // /x/replay comes before /x/{id}
		if n := len(a.names) - len(b.names); n != 0 {
			return n
		}
		return strings.Compare(a.template, b.template)
	})
	if err := parse(document).Validate(openapi3.NewLoader().Context); err != nil { // its examples, too
		panic(fmt.Errorf("openapi.yaml is not valid: %w", err))
	}
	return d
}

func parse(document []byte) *openapi3.T {
	doc, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		panic(fmt.Errorf("openapi.yaml can't be read: %w", err))
	}
	return doc
}

// strictly returns the document with schemas that refuse the fields they don't name.
// Clients have to ignore such fields, but here each one is undocumented.
func strictly(document []byte) []byte {
	var root any
	if err := yaml.Unmarshal(document, &root); err != nil {
		panic(fmt.Errorf("openapi.yaml is not YAML: %w", err))
	}
	closeObjects(root)
	closed, err := yaml.Marshal(root)
	if err != nil {
		panic(err)
	}
	return closed
}

func closeObjects(node any) {
	switch node := node.(type) {
	case map[string]any:
		_, hasFields := node["properties"]
		if _, given := node["additionalProperties"]; node["type"] == "object" && hasFields && !given {
			node["additionalProperties"] = false
		}
		for _, child := range node {
			closeObjects(child)
		}
	case []any:
		for _, child := range node {
			closeObjects(child)
		}
	}
}

// find returns the path of the document that the URL matches, and its parameters.
func (d *Document) find(u *url.URL) (found *path, parameters map[string]string) {
	for i, p := range d.paths {
		match := p.matches.FindStringSubmatch(u.EscapedPath())
		if match == nil {
			continue
		}
		parameters = make(map[string]string)
		for n, name := range p.names {
			parameters[name], _ = url.PathUnescape(match[n+1])
		}
		return &d.paths[i], parameters
	}
	return nil, nil
}

// operation returns the path's operation for the method. GET describes HEAD, too.
func (p *path) operation(method string) *openapi3.Operation {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	return p.item.Operations()[method]
}

// allow returns the value that the header Allow has.
func (p *path) allow() string {
	var methods []string
	for method := range p.item.Operations() {
		methods = append(methods, method)
		if method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
	}
	slices.Sort(methods)
	return strings.Join(methods, ", ")
}

// Operations returns the document's operations as httpapi.API.Operations returns a
// handler's.
func (d *Document) Operations() (operations []string) {
	for _, p := range d.paths {
		for method := range p.item.Operations() {
			operations = append(operations, method+" "+p.template)
		}
	}
	slices.Sort(operations)
	return operations
}
