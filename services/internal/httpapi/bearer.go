package httpapi

import (
	"net/http"
	"strings"
)

// maxToken is the size of a bearer token in bytes, at most.
const maxToken = 8 << 10

// BearerToken returns the token of the request's header Authorization (RFC 6750). The error is
// an [*Unauthenticated].
func BearerToken(h http.Header) (string, error) {
	values := h.Values("Authorization")
	if len(values) == 0 {
		return "", &Unauthenticated{}
	}
	if len(values) > 1 {
		return "", &Unauthenticated{Reason: "the header Authorization is given more than once", Malformed: true}
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", &Unauthenticated{} // another scheme is as good as none
	}
	token = strings.TrimLeft(token, " ")
	switch {
	case token == "" || strings.ContainsFunc(token, isOutside):
		return "", &Unauthenticated{Reason: "the header Authorization must be Bearer and one token", Malformed: true}
	case len(token) > maxToken:
		return "", &Unauthenticated{Reason: "the token is larger than 8 KiB"}
	}
	return token, nil
}

// isOutside reports whether no token may have the character.
func isOutside(c rune) bool {
	isLetter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
	return !isLetter && !('0' <= c && c <= '9') && !strings.ContainsRune("-._~+/=", c)
}
