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

// WriteJSON answers with the value as JSON. It returns a problem instead if the
// answer is not small and the memory for it is not free.
func WriteJSON(w http.ResponseWriter, status int, value any) error {
	body := encode(value)
	if !hold(w, len(body)) {
		return outOfMemory()
	}
	write(w, status, "application/json", body)
	return nil
}

// WriteLarge answers 200 with the value, a struct with fields, and a last member
// of that name: the content as text if it is UTF-8, or as base64 in a member
// name_base64. The content is encoded as it is written, and never held so.
func WriteLarge(w http.ResponseWriter, value any, name string, content []byte) {
	head := bytes.TrimSuffix(encode(value), []byte("}\n"))
	text := utf8.Valid(content)
	if !text {
		name += "_base64"
	}
	setHeader(w.Header(), "application/json")
	w.WriteHeader(http.StatusOK)
	// The client may be gone at any write: nobody is left to tell.
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

// writeText writes valid UTF-8 as the inside of a JSON string.
func writeText(w io.Writer, text []byte) {
	const most = 32 << 10
	for len(text) > 0 {
		n := min(len(text), most)
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

// FormatTime returns the time as answers have it: RFC 3339, UTC, milliseconds.
func FormatTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func encode(value any) []byte {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(err) // our own types always encode
	}
	return EscapeControls(body.Bytes())
}

func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	setHeader(w.Header(), contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone: nobody left to tell
}

func setHeader(h http.Header, contentType string) {
	h.Set("Content-Type", contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
}
