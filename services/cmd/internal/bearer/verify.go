// Package bearer checks the bearer tokens of requests: JSON Web Tokens (RFC 7519) that are
// signed with a key of a JWKS.
package bearer

import (
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
	"github.com/go-jose/go-jose/v4/jwt"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/httpapi"
)

// leeway is how far the clock of a token's issuer may differ from ours.
const leeway = 30 * time.Second

// waitTimeout bounds how long a request waits for a key that is not known yet.
const waitTimeout = 3 * time.Second

// Verifier checks tokens of one issuer for one audience.
type Verifier struct {
	keys             *Keys
	issuer, audience string
	seen             cache
}

// NewVerifier returns a verifier of tokens that a key of the keys has signed.
func NewVerifier(keys *Keys, issuer, audience string) *Verifier {
	return &Verifier{keys: keys, issuer: issuer, audience: audience}
}

// Token is what a valid token says.
type Token struct {
	Subject string
	Scopes  []string
}

// Has reports whether the token has one of the scopes.
func (t Token) Has(scopes ...string) bool {
	return slices.ContainsFunc(scopes, func(scope string) bool { return slices.Contains(t.Scopes, scope) })
}

// Authenticate returns what the request's token says. A [*httpapi.Unauthenticated] is
// returned when there is no valid token. [ports.ErrUnavailable] is returned when the key that
// would check it can't be had now.
func (v *Verifier) Authenticate(r *http.Request) (Token, error) {
	token, err := httpapi.BearerToken(r.Header)
	if err != nil {
		return Token{}, err
	}
	return v.Verify(r.Context(), token)
}

// Verify returns what the token says; see [Verifier.Authenticate].
func (v *Verifier) Verify(ctx context.Context, token string) (Token, error) {
	of := digest(sha256.Sum256([]byte(token)))
	c, ok := v.seen.get(of, v.keys.current.Load())
	if !ok {
		entry, size, err := v.open(ctx, token)
		if err != nil {
			return Token{}, err
		}
		if c = entry.claims; size <= maxCachedClaims {
			v.seen.add(of, entry)
		}
	}
	if reason := v.check(c, time.Now()); reason != "" {
		return Token{}, refused(reason)
	}
	return Token{Subject: c.Subject, Scopes: slices.Concat(c.Scope, c.SCP)}, nil
}

// open returns the claims of a token that a key has signed, and their size.
func (v *Verifier) open(ctx context.Context, token string) (entry checked, size int, err error) {
	signed, err := jose.ParseSignedCompact(token, algorithms)
	if errors.As(err, new(*jose.ErrUnexpectedSignatureAlgorithm)) {
		return entry, 0, refused("the token is not signed with RS256, ES256 or EdDSA")
	} else if err != nil {
		return entry, 0, refused("the token is not a signed JSON Web Token")
	}
	header := signed.Signatures[0].Header
	keys, by, err := v.find(ctx, keyUse{header.KeyID, jose.SignatureAlgorithm(header.Algorithm)})
	if err != nil {
		return entry, 0, err
	}
	payload, err := verify(signed, keys)
	if err != nil {
		return entry, 0, refused("the signature of the token is wrong")
	}
	entry.by = by
	if err := json.Unmarshal(payload, &entry.claims); err != nil {
		return entry, 0, refused("the claims of the token can't be read")
	}
	return entry, len(payload), nil
}

func refused(reason string) error { return &httpapi.Unauthenticated{Reason: reason} }

// find returns the keys that may have signed the token, and the set that they are in.
func (v *Verifier) find(ctx context.Context, use keyUse) ([]crypto.PublicKey, *keySet, error) {
	set := v.keys.current.Load()
	if found := set.find(use); found != nil {
		return found, set, nil
	}
	ctx, cancel := context.WithTimeout(ctx, waitTimeout)
	defer cancel()
	err := v.keys.reload(ctx)
	set = v.keys.current.Load()
	if found := set.find(use); found != nil {
		return found, set, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("the key of the token is not known, and the keys can't be read now: %w: %w", ports.ErrUnavailable, err)
	}
	return nil, nil, refused("the key of the token is not known")
}

// verify returns the payload if one of the keys has signed it.
func verify(signed *jose.JSONWebSignature, keys []crypto.PublicKey) (payload []byte, err error) {
	for _, key := range keys {
		if payload, err = signed.Verify(key); err == nil {
			return payload, nil
		}
	}
	return nil, err
}

// claims are those of a token that count.
type claims struct {
	Issuer    string           `json:"iss"`
	Subject   string           `json:"sub"`
	Audience  jwt.Audience     `json:"aud"`
	Expiry    *jwt.NumericDate `json:"exp"`
	NotBefore *jwt.NumericDate `json:"nbf"`
	Scope     scopes           `json:"scope"`
	SCP       scopes           `json:"scp"`
}

// check returns why the token is not valid; empty: it is.
func (v *Verifier) check(c claims, now time.Time) (reason string) {
	switch {
	case c.Expiry == nil:
		return "the token has no exp"
	case !now.Before(c.Expiry.Time().Add(leeway)):
		return "the token has expired"
	case c.NotBefore != nil && now.Add(leeway).Before(c.NotBefore.Time()):
		return "the token is not valid yet"
	case c.Issuer != v.issuer:
		return "the token is of another issuer"
	case !c.Audience.Contains(v.audience):
		return "the token is for another audience"
	case c.Subject == "":
		return "the token has no sub"
	}
	return ""
}

// scopes are texts, or one text with spaces between them.
type scopes []string

// UnmarshalJSON reads both forms.
func (s *scopes) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err == nil {
		*s = strings.Fields(text)
		return nil
	}
	return json.Unmarshal(b, (*[]string)(s))
}
