package httpapi

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
)

// WriteTagged answers a GET or HEAD with the value as JSON and a strong ETag, which
// changes with any byte of the answer. It answers 304 without a body if If-None-Match
// has the tag. Its error is that of [WriteJSON].
func WriteTagged(w http.ResponseWriter, r *http.Request, value any) error {
	body := encode(value)
	if knows(w, r, tagOf(body)) {
		return nil
	}
	if !reserve(w, len(body)) {
		w.Header().Del("ETag")
		return outOfMemory()
	}
	write(w, http.StatusOK, "application/json", body)
	return nil
}

// File is a file that a handler serves as it is.
type File struct {
	mediaType string
	content   []byte
	tag       string
}

// NewFile returns the file. Nobody may change the content afterwards.
func NewFile(mediaType string, content []byte) File { return File{mediaType, content, tagOf(content)} }

// Write answers a GET or HEAD with the file, as [WriteTagged] does. Caches ask each time
// whether it has changed.
func (f File) Write(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-cache")
	if !knows(w, r, f.tag) {
		write(w, http.StatusOK, f.mediaType, f.content)
	}
}

func tagOf(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}

// knows sets the answer's ETag. It answers 304 and reports true if the client has the tag.
func knows(w http.ResponseWriter, r *http.Request, tag string) bool {
	w.Header().Set("ETag", tag)
	if !matches(r.Header.Values("If-None-Match"), tag) {
		return false
	}
	w.WriteHeader(http.StatusNotModified)
	return true
}

// matches reports whether If-None-Match has the tag, by the weak comparison of RFC 9110,
// section 13.1.2. Our tags have no comma, so a list is split at each.
func matches(fields []string, tag string) bool {
	for _, field := range fields {
		for listed := range strings.SplitSeq(field, ",") {
			listed = strings.Trim(listed, " \t")
			if listed == "*" || strings.TrimPrefix(listed, "W/") == tag {
				return true
			}
		}
	}
	return false
}
