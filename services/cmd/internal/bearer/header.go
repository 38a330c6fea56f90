package bearer

import (
	"net/http"
	"strings"

	"example.com/orderflow/services/internal/httpapi"
)

// maxToken is the size of a token in bytes, at most.
const maxToken = 8 << 10

// tokenOf returns the token of the request's header Authorization (RFC 6750). The error is
// a [*httpapi.Unauthenticated].
func tokenOf(h http.Header) (string, error) {
	values := h.Values("Authorization")
	if len(values) == 0 {
		return "", &httpapi.Unauthenticated{}
	}
	if len(values) > 1 {
		return "", &httpapi.Unauthenticated{Reason: "the header Authorization is given more than once", Malformed: true}
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", &httpapi.Unauthenticated{} // another scheme is as good as none
	}
	token = strings.TrimLeft(token, " ")
	switch {
	case token == "" || strings.ContainsFunc(token, isOutside):
		return "", &httpapi.Unauthenticated{Reason: "the header Authorization must be Bearer and one token", Malformed: true}
	case len(token) > maxToken:
		return "", &httpapi.Unauthenticated{Reason: "the token is larger than 8 KiB"}
	}
	return token, nil
}

// isOutside reports whether no token may have the character.
func isOutside(c rune) bool {
	isLetter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
	return !isLetter && !('0' <= c && c <= '9') && !strings.ContainsRune("-._~+/=", c)
}
