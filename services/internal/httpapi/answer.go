package httpapi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"
)

// WriteJSON answers with the value as JSON. If the answer is large and no memory is
// free for it, WriteJSON returns a problem instead.
func WriteJSON(w http.ResponseWriter, status int, value any) error {
	body := encode(value)
	if !reserve(w, len(body)) {
		return outOfMemory()
	}
	write(w, status, "application/json", body)
	return nil
}

// Description returns a handler that answers with the YAML document, such as an
// OpenAPI description.
func Description(document []byte) HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) error {
		write(w, http.StatusOK, "application/yaml", document)
		return nil
	}
}

// WriteLarge answers 200 with the value, a struct with fields, and the content as
// the last member. Content in UTF-8 is a text with this name. Other content is in
// base64, and "_base64" follows the name. WriteLarge encodes the content in parts,
// so that it needs little memory.
func WriteLarge(w http.ResponseWriter, value any, name string, content []byte) {
	head := bytes.TrimSuffix(encode(value), []byte("}\n"))
	text := utf8.Valid(content)
	if !text {
		name += "_base64"
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	// Writes fail if the client has gone, so nobody would read about the errors.
	_, _ = fmt.Fprintf(w, `%s,"%s":"`, head, name)
	if text {
		writeText(w, content)
	} else {
		encoder := base64.NewEncoder(base64.StdEncoding, w)
		_, _ = encoder.Write(content)
		_ = encoder.Close()
	}
	_, _ = io.WriteString(w, "\"}\n")
}

// writeText writes the text, valid UTF-8, as a JSON string without its quotes.
func writeText(w io.Writer, text []byte) {
	const part = 32 << 10
	for len(text) > 0 {
		n := min(len(text), part)
		for n < len(text) && !utf8.RuneStart(text[n]) {
			n--
		}
		quoted := bytes.TrimSpace(encode(string(text[:n])))
		if _, err := w.Write(quoted[1 : len(quoted)-1]); err != nil {
			return
		}
		text = text[n:]
	}
}

// FormatTime formats a time for an answer: RFC 3339 in UTC with milliseconds.
func FormatTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// Encode returns the value as JSON without line breaks, as answers have it.
func Encode(value any) []byte { return bytes.TrimSuffix(encode(value), []byte("\n")) }

func encode(value any) []byte {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(err) // our own types can always be encoded
	}
	return EscapeControls(body.Bytes())
}

func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // see WriteLarge
}
