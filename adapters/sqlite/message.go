package sqlite

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// properties are a message without its body, as JSON.
type properties struct {
	ID              string            `json:"id"`
	ContentType     string            `json:"content_type,omitempty"`
	Headers         map[string]string `json:"headers,omitempty"`
	ContentEncoding string            `json:"content_encoding,omitempty"`
	CorrelationID   string            `json:"correlation_id,omitempty"`
	ReplyTo         string            `json:"reply_to,omitempty"`
	Type            string            `json:"type,omitempty"`
	AppID           string            `json:"app_id,omitempty"`
	Timestamp       time.Time         `json:"timestamp,omitzero"`

	// Base64 is set if a text is not valid UTF-8, which JSON can't express. Then all of
	// them are in base64.
	Base64 bool `json:"base64,omitempty"`
}

// encodeProperties returns the message's properties as JSON. They have no timestamp that
// RFC 3339 can't write.
func encodeProperties(m ports.Message) (string, error) {
	p := properties{
		ID: m.ID, ContentType: m.ContentType, Headers: m.Headers, ContentEncoding: m.ContentEncoding,
		CorrelationID: m.CorrelationID, ReplyTo: m.ReplyTo, Type: m.Type, AppID: m.AppID, Timestamp: m.Timestamp.UTC(),
	}
	if !domain.IsWritable(p.Timestamp) {
		p.Timestamp = time.Time{}
	}
	if !p.isUTF8() {
		p.Base64 = true
		_ = p.convert(func(text string) (string, error) { return base64.StdEncoding.EncodeToString([]byte(text)), nil })
	}
	text, err := json.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("encode the properties of message %q: %w", m.ID, err)
	}
	return string(text), nil
}

// decodeMessage returns the message with these properties, which encodeProperties made.
// The message keeps the body, and has nothing else after an error.
func decodeMessage(text string, body []byte) (ports.Message, error) {
	var p properties
	err := json.Unmarshal([]byte(text), &p)
	if err == nil && p.Base64 {
		err = p.convert(func(text string) (string, error) {
			data, err := base64.StdEncoding.DecodeString(text)
			return string(data), err
		})
	}
	if err != nil {
		return ports.Message{Body: body}, fmt.Errorf("decode the properties of a message: %w", err)
	}
	return ports.Message{
		ID: p.ID, ContentType: p.ContentType, Headers: p.Headers, Body: body, ContentEncoding: p.ContentEncoding,
		CorrelationID: p.CorrelationID, ReplyTo: p.ReplyTo, Type: p.Type, AppID: p.AppID, Timestamp: p.Timestamp,
	}, nil
}

func (p *properties) texts() []*string {
	return []*string{&p.ID, &p.ContentType, &p.ContentEncoding, &p.CorrelationID, &p.ReplyTo, &p.Type, &p.AppID}
}

func (p *properties) isUTF8() bool {
	for name, value := range p.Headers {
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			return false
		}
	}
	return !slices.ContainsFunc(p.texts(), func(text *string) bool { return !utf8.ValidString(*text) })
}

// convert replaces each text by what to returns. It leaves the map of headers as it is,
// because the caller may own it.
func (p *properties) convert(to func(string) (string, error)) (err error) {
	for _, text := range p.texts() {
		if *text, err = to(*text); err != nil {
			return err
		}
	}
	headers := make(map[string]string, len(p.Headers))
	for name, value := range p.Headers {
		if name, err = to(name); err != nil {
			return err
		}
		if headers[name], err = to(value); err != nil {
			return err
		}
	}
	p.Headers = headers
	return nil
}
