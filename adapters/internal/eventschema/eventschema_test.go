package eventschema_test

import (
	"maps"
	"strings"
	"testing"

	"example.com/orderflow/adapters/internal/eventschema"
	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/order"
)

func TestExamples(t *testing.T) {
	schema, err := eventschema.Load(order.AsyncAPI, "OrderCreated")
	if err != nil {
		t.Fatal(err)
	}
	if len(schema.Examples) == 0 {
		t.Error("the document has no example")
	}
	for _, example := range schema.Examples {
		if err := schema.Check(example); err != nil {
			t.Error(err)
		}
		if _, err := wire.Decode(example); err != nil {
			t.Error(err)
		}
	}
}

func TestFaultsAreFound(t *testing.T) {
	schema, err := eventschema.Load(order.AsyncAPI, "OrderCreated")
	if err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*ports.Message){
		"want \"application/json\"":             func(m *ports.Message) { m.ContentType = "text/plain" },
		"missing property 'ce-time'":            func(m *ports.Message) { delete(m.Headers, "ce-time") },
		"additional properties 'x' not allowed": func(m *ports.Message) { m.Headers["x"] = "y" },
		"does not match pattern":                func(m *ports.Message) { m.Headers["ce-dataschema"] = "urn:orderflow:order.created:2.0" },
		"is not valid date-time":                func(m *ports.Message) { m.Headers["ce-time"] = "monday" },
		"the body is not JSON":                  func(m *ports.Message) { m.Body = []byte("{") },
		"additional properties 'price' not allowed": func(m *ports.Message) {
			m.Body = []byte(strings.Replace(string(m.Body), "{", `{"price":1,`, 1))
		},
	} {
		m := schema.Examples[0]
		m.Headers = maps.Clone(m.Headers)
		spoil(&m)
		if err := schema.Check(m); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}
