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
	sum := sha256.Sum256(body)
	tag := `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	w.Header().Set("ETag", tag)
	if matches(r.Header.Values("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	if !reserve(w, len(body)) {
		w.Header().Del("ETag")
		return outOfMemory()
	}
	write(w, http.StatusOK, "application/json", body)
	return nil
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
