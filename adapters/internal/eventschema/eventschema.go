// Package eventschema checks messages against the AsyncAPI document, in tests.
package eventschema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"example.com/orderflow/ports"
)

// Message is what the document says of a message.
type Message struct {
	contentType      string
	headers, payload *jsonschema.Schema
	Examples         []ports.Message
}

// Load returns the message of this name in the document.
func Load(asyncAPI []byte, name string) (*Message, error) {
	text, err := yaml.YAMLToJSON(asyncAPI)
	if err != nil {
		return nil, fmt.Errorf("read the AsyncAPI document: %w", err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("read the AsyncAPI document: %w", err)
	}
	closeObjects(document)
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft7)
	compiler.AssertFormat()
	const file = "asyncapi.json"
	if err := compiler.AddResource(file, document); err != nil {
		return nil, err
	}
	m := &Message{}
	place := file + "#/components/messages/" + name
	m.headers, err = compiler.Compile(place + "/headers")
	if err != nil {
		return nil, err
	}
	m.payload, err = compiler.Compile(place + "/payload")
	if err != nil {
		return nil, err
	}
	return m, m.read(text, name)
}

// read reads the content type and the examples.
func (m *Message) read(document []byte, name string) error {
	var parts struct {
		Components struct {
			Messages map[string]struct {
				ContentType string `json:"contentType"`
				Examples    []struct {
					Headers map[string]string
					Payload json.RawMessage
				}
			}
		}
	}
	if err := json.Unmarshal(document, &parts); err != nil {
		return err
	}
	message := parts.Components.Messages[name]
	m.contentType = message.ContentType
	for _, e := range message.Examples {
		m.Examples = append(m.Examples, ports.Message{ContentType: m.contentType, Headers: e.Headers, Body: e.Payload})
	}
	return nil
}

// closeObjects makes the schemas refuse what they don't name. Consumers ignore that,
// but here it is undocumented.
func closeObjects(node any) {
	switch node := node.(type) {
	case map[string]any:
		if _, hasFields := node["properties"]; hasFields && node["type"] == "object" {
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

// Check returns how the message differs from the document.
func (m *Message) Check(message ports.Message) error {
	headers := make(map[string]any, len(message.Headers))
	for name, value := range message.Headers {
		headers[name] = value
	}
	body, err := jsonschema.UnmarshalJSON(bytes.NewReader(message.Body))
	if err != nil {
		return fmt.Errorf("the body is not JSON: %w", err)
	}
	if message.ContentType != m.contentType {
		err = fmt.Errorf("the content type is %q, want %q", message.ContentType, m.contentType)
	}
	return errors.Join(err, m.headers.Validate(headers), m.payload.Validate(body))
}
