package apitest

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// see notes that the traffic has shown a place of the document.
func (d *Document) see(place string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen[place] = true
}

// seeFields notes the fields of the value.
func (d *Document) seeFields(ref *openapi3.SchemaRef, place string, value any) {
	for field, part := range fields(ref, place) {
		for _, value := range valuesOf(value, field) {
			d.see(part.place)
			d.seeFields(part.schema, part.place, value)
		}
	}
}

// items is the name of the elements of an array.
const items = "[]"

// part is a field of an object, or the elements of an array.
type part struct {
	schema *openapi3.SchemaRef
	place  string
}

// fields returns the schema's fields by name.
func fields(ref *openapi3.SchemaRef, place string) map[string]part {
	parts := map[string]part{}
	add := func(name string, schema *openapi3.SchemaRef, where string) {
		if schema != nil && schema.Value != nil && parts[name].schema == nil {
			parts[name] = part{schema, where}
		}
	}
	if ref.Ref != "" {
		place = ref.Ref
	}
	for name, field := range ref.Value.Properties {
		add(name, field, place+"."+name)
	}
	add(items, ref.Value.Items, place+items)
	return parts
}

// valuesOf returns the value's field of this name, or its elements.
func valuesOf(value any, name string) []any {
	switch value := value.(type) {
	case map[string]any:
		if field, ok := value[name]; ok {
			return []any{field}
		}
	case []any:
		if name == items {
			return value
		}
	}
	return nil
}

// unseen returns the places of the document that the traffic has not shown.
func (d *Document) unseen() (places []string) {
	want := map[string]bool{}
	for _, p := range d.paths {
		for _, operation := range p.item.Operations() {
			for status, response := range operation.Responses.Map() {
				place := operation.OperationID + " answers " + status
				want[place] = true
				d.wantResponse(want, response, shared(response.Ref, place))
			}
		}
	}
	for place := range want {
		if !d.seen[place] {
			places = append(places, place)
		}
	}
	slices.Sort(places)
	return places
}

func (d *Document) wantResponse(want map[string]bool, response *openapi3.ResponseRef, place string) {
	for name := range response.Value.Headers {
		want[place+" with the header "+name] = true
	}
	for mediaType, content := range response.Value.Content {
		place := place + " as " + mediaType
		want[place] = true
		if content.Schema == nil {
			continue
		}
		wantFields(want, content.Schema, place)
		for _, code := range codes(content.Schema.Value) {
			want[place+" with the code "+code] = true
		}
	}
}

func wantFields(want map[string]bool, ref *openapi3.SchemaRef, place string) {
	for _, part := range fields(ref, place) {
		if !want[part.place] {
			want[part.place] = true
			wantFields(want, part.schema, part.place)
		}
	}
}

// codes returns the codes that the answer's schema allows beside those of every
// problem.
func codes(schema *openapi3.Schema) (codes []string) {
	for _, part := range schema.AllOf {
		code := part.Value.Properties["code"]
		switch {
		case code == nil:
		case code.Value.Const != nil:
			codes = append(codes, fmt.Sprint(code.Value.Const))
		default:
			for _, value := range code.Value.Enum {
				codes = append(codes, fmt.Sprint(value))
			}
		}
	}
	return codes
}

// Main runs the tests of a package. If all of them ran, it also checks that they have
// seen all of the documents.
type Main struct {
	Tests     interface{ Run() int } // such as *testing.M
	Documents []*Document
}

// Run returns the exit status.
func (m Main) Run() int {
	status := m.Tests.Run()
	complete := status == 0 && ranAll()
	for _, d := range m.Documents {
		status = max(status, d.Report(os.Stderr, complete))
	}
	return status
}

func ranAll() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.bench", "test.fuzz"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return false
		}
	}
	return true
}

// Report writes what differs from the document and returns the exit status.
func (d *Document) Report(out io.Writer, complete bool) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	faults := slices.Clone(d.faults)
	if complete {
		for _, place := range d.unseen() {
			faults = append(faults, "documented, but no test has seen it: "+place)
		}
	}
	if len(faults) == 0 {
		return 0
	}
	fmt.Fprintf(out, "FAIL: the answers differ from openapi.yaml:\n%s\n", strings.Join(faults, "\n"))
	return 1
}
