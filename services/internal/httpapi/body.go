package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

const maxBody = 64 << 10

// bodyTimeout bounds how long a client may take to send a request's body.
const bodyTimeout = 10 * time.Second

// ReadObject reads the request's body, one JSON object (RFC 8259) of up to 64 KiB,
// and sets its fields, whose names are case-sensitive. It returns a [*Problem] that
// lists all faults: unknown, repeated and missing fields and wrong types. Its texts
// call the object what, such as "an order". A body that does not arrive within
// 10 s is a problem with status 408.
func ReadObject(w http.ResponseWriter, r *http.Request, what string, fields ...Field) error {
	if err := checkMediaType(r.Header); err != nil {
		return err
	}
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	defer reserve(w, 0)
	return DecodeObject(body, what, fields...)
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if e, ok := w.(*exchange); ok {
		e.takeBody()
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout)) // fails on servers that do not support it
	if r.ContentLength > maxBody {
		return nil, tooLarge(w)
	}
	limited := http.MaxBytesReader(w, r.Body, maxBody)
	body, err := io.ReadAll(io.LimitReader(limited, small))
	if err == nil && len(body) == small { // there may be more
		if !reserve(w, maxBody) {
			return nil, closeAfter(w, outOfMemory())
		}
		whole := bytes.NewBuffer(slices.Grow(body, maxBody-small+bytes.MinRead))
		_, err = whole.ReadFrom(limited)
		body = whole.Bytes()
	}
	var maxBytes *http.MaxBytesError
	switch {
	case err == nil:
		return body, nil
	case errors.As(err, &maxBytes):
		return nil, tooLarge(w)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, closeAfter(w, &Problem{
			Status: http.StatusRequestTimeout, Code: "timeout",
			Detail: fmt.Sprintf("the body did not arrive within %v; nothing was done", bodyTimeout),
		})
	}
	return nil, Malformed("the body could not be read completely")
}

func tooLarge(w http.ResponseWriter) error {
	return closeAfter(w, &Problem{
		Status: http.StatusRequestEntityTooLarge, Code: "too_large",
		Detail: fmt.Sprintf("the body is larger than %d bytes", maxBody),
	})
}

// closeAfter closes the connection after the problem, because the rest of the body
// may still arrive on it.
func closeAfter(w http.ResponseWriter, p *Problem) error {
	w.Header().Set("Connection", "close")
	return p
}

func checkMediaType(h http.Header) error {
	unsupported := func(detail string) error {
		return &Problem{Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type", Detail: detail}
	}
	mediaType, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || mediaType != "application/json" {
		return unsupported("the header Content-Type must be application/json")
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return unsupported("the charset in the header Content-Type must be utf-8")
	}
	if encoding := h.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return unsupported("the header Content-Encoding must be absent: compressed bodies are not supported")
	}
	return nil
}
