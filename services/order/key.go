package order

import (
	"fmt"
	"net/http"
	"strings"

	"example.com/orderflow/domain"
	"example.com/orderflow/services/internal/httpapi"
)

const (
	keyHeader    = "Idempotency-Key"
	maxKeyLength = 255
)

// readKey returns the value of the header Idempotency-Key (an IETF draft), or an
// empty key without the header. A key is 1 to 255 visible ASCII characters and
// spaces, bare or quoted as in RFC 8941. Its quotes are not part of it.
func readKey(h http.Header) (string, error) {
	values := h.Values(keyHeader)
	if len(values) == 0 {
		return "", nil
	}
	refuse := func(reason string) (string, error) {
		p := httpapi.Malformed("the header " + keyHeader + " " + reason)
		p.Errors = []domain.FieldError{{Field: keyHeader, Reason: reason}}
		return "", p
	}
	if len(values) > 1 {
		return refuse("is given more than once")
	}
	key := values[0]
	if strings.HasPrefix(key, `"`) {
		var ok bool
		if key, ok = unquote(key); !ok {
			return refuse(`must end its quoted string with ", and escape each " and \ inside as \" and \\`)
		}
	}
	switch {
	case key == "":
		return refuse("is empty")
	case len(key) > maxKeyLength:
		return refuse(fmt.Sprintf("must have at most %d characters", maxKeyLength))
	case strings.ContainsFunc(key, func(c rune) bool { return c < ' ' || c > '~' }):
		return refuse("must contain only visible ASCII characters and spaces")
	}
	return key, nil
}

// unquote parses a string of RFC 8941, section 3.3.3.
func unquote(s string) (string, bool) {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return "", false
	}
	s = s[1 : len(s)-1]
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return "", false
		case '\\':
			i++
			if i == len(s) || s[i] != '"' && s[i] != '\\' {
				return "", false
			}
		}
		b.WriteByte(s[i])
	}
	return b.String(), true
}
