// Package bearertest makes keys and tokens for tests.
package bearertest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Of the tokens that Claims returns.
const (
	Issuer   = "https://login.example.com/"
	Audience = "orders-api"
)

// Key signs tokens.
type Key struct {
	ID        string
	Algorithm jose.SignatureAlgorithm

	private crypto.Signer
}

// NewKey returns a new key for RS256, ES256 or EdDSA.
func NewKey(t testing.TB, id string, algorithm jose.SignatureAlgorithm) Key {
	t.Helper()
	k := Key{ID: id, Algorithm: algorithm}
	var err error
	switch algorithm {
	case jose.RS256:
		k.private, err = rsa.GenerateKey(rand.Reader, 2048)
	case jose.ES256:
		k.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		_, k.private, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Public returns the public key.
func (k Key) Public() crypto.PublicKey { return k.private.Public() }

// JWKS returns the set of the public keys.
func JWKS(t testing.TB, keys ...Key) []byte {
	t.Helper()
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, k := range keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.Public(), KeyID: k.ID, Algorithm: string(k.Algorithm), Use: "sig"})
	}
	document, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return document
}

// File returns the path of a new file with the set of the public keys.
func File(t testing.TB, keys ...Key) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(path, JWKS(t, keys...), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Claims returns the claims of a valid token of the user, with the changes. A change to nil
// removes the claim.
func Claims(user string, changes map[string]any) map[string]any {
	claims := map[string]any{"iss": Issuer, "aud": Audience, "sub": user, "exp": time.Now().Add(time.Hour).Unix()}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	return claims
}

// Token returns a valid token of the user, with a scope or with several and spaces between
// them.
func (k Key) Token(t testing.TB, user, scope string) string {
	t.Helper()
	return k.Sign(t, Claims(user, map[string]any{"scope": scope}))
}

// Sign returns a token with the claims.
func (k Key) Sign(t testing.TB, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return Signed(t, k.Algorithm, jose.JSONWebKey{Key: k.private, KeyID: k.ID}, payload, nil)
}

// Signed returns the payload, signed by the key, with further headers.
func Signed(t testing.TB, algorithm jose.SignatureAlgorithm, key any, payload []byte, headers map[jose.HeaderKey]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, &jose.SignerOptions{ExtraHeaders: headers})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}
