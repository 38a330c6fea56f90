package bearer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// algorithms are those that a token may be signed with: each has a public key.
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA}

const (
	maxKeys = 100

	// The sizes of an RSA key in bits: a smaller one is weak, a larger one slow.
	minRSA, maxRSA = 2048, 8192
)

// keySet has the public keys of a JWKS by their use.
type keySet struct {
	keys    map[keyUse][]crypto.PublicKey
	ignored []string // why other keys of the document are not used
}

// keyUse says which tokens a key is for.
type keyUse struct {
	id        string // kid; empty: the key has none
	algorithm jose.SignatureAlgorithm
}

// parseKeys returns the keys of the JWKS that can check tokens. An error is returned when
// there is none.
func parseKeys(document []byte) (*keySet, error) {
	var parsed struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(document, &parsed); err != nil {
		return nil, errors.New(`it is not a JWKS, a JSON object such as {"keys":[…]}`)
	}
	if len(parsed.Keys) > maxKeys {
		return nil, fmt.Errorf("it has %d keys; more than %d are not used", len(parsed.Keys), maxKeys)
	}
	set := &keySet{keys: make(map[keyUse][]crypto.PublicKey)}
	for i, raw := range parsed.Keys {
		use, key, err := parseKey(raw)
		if errors.Is(err, errPrivateKey) {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		if err != nil {
			set.ignored = append(set.ignored, fmt.Sprintf("key %d: %v", i+1, err))
			continue
		}
		set.keys[use] = append(set.keys[use], key)
	}
	if len(set.keys) == 0 {
		return nil, errors.New(strings.Join(append([]string{"it has no key for RS256, ES256 or EdDSA"}, set.ignored...), "; "))
	}
	return set, nil
}

// errPrivateKey is returned when a JWKS would give its secrets to every service.
var errPrivateKey = errors.New("it is a private key; give the public keys alone")

func parseKey(raw []byte) (use keyUse, key crypto.PublicKey, err error) {
	var parsed jose.JSONWebKey
	if err := json.Unmarshal(raw, &parsed); err != nil {
		return use, nil, errors.New("it can't be read: " + strings.TrimPrefix(err.Error(), "go-jose/go-jose: "))
	}
	var more struct { // what jose ignores
		KeyOps []string `json:"key_ops"`
		X      string   `json:"x"`
	}
	if err := json.Unmarshal(raw, &more); err != nil {
		return use, nil, errors.New("its key_ops can't be read")
	}
	switch parsed.Key.(type) {
	case *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey:
		return use, nil, errPrivateKey
	}
	if parsed.Use != "" && parsed.Use != "sig" || more.KeyOps != nil && !slices.Contains(more.KeyOps, "verify") {
		return use, nil, errors.New("it is not for signatures")
	}
	use.id = parsed.KeyID
	switch public := parsed.Key.(type) {
	case *rsa.PublicKey:
		use.algorithm = jose.RS256
		if bits := public.N.BitLen(); bits < minRSA || bits > maxRSA {
			return use, nil, fmt.Errorf("it has %d bits, not %d to %d", bits, minRSA, maxRSA)
		}
	case *ecdsa.PublicKey:
		use.algorithm = jose.ES256
		if public.Curve != elliptic.P256() {
			return use, nil, fmt.Errorf("its curve is %s, not P-256", public.Params().Name)
		}
	case ed25519.PublicKey:
		use.algorithm = jose.EdDSA
		if x, err := base64.RawURLEncoding.DecodeString(more.X); err != nil || len(x) != ed25519.PublicKeySize {
			return use, nil, errors.New("its x is not 32 bytes") // jose would fill it up
		}
	default:
		return use, nil, errors.New("it is not a public key")
	}
	if parsed.Algorithm != "" && parsed.Algorithm != string(use.algorithm) {
		return use, nil, fmt.Errorf("it is for %.20q, not %s", parsed.Algorithm, use.algorithm)
	}
	return use, parsed.Key, nil
}

// find returns the keys for tokens that name the key and the algorithm. A token that names
// no key is for the only key of its algorithm.
func (s *keySet) find(use keyUse) []crypto.PublicKey {
	if s == nil {
		return nil
	}
	if found := s.keys[use]; found != nil || use.id != "" {
		return found
	}
	var only []crypto.PublicKey
	for other, keys := range s.keys {
		if other.algorithm != use.algorithm {
			continue
		}
		if only != nil {
			return nil
		}
		only = keys
	}
	return only
}

// String says how many keys there are, by algorithm.
func (s *keySet) String() string {
	counts := make(map[jose.SignatureAlgorithm]int)
	for use, keys := range s.keys {
		counts[use.algorithm] += len(keys)
	}
	var parts []string
	for _, algorithm := range algorithms {
		if n := counts[algorithm]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d for %s", n, algorithm))
		}
	}
	if len(s.ignored) > 0 {
		parts = append(parts, "not used: "+strings.Join(s.ignored, "; "))
	}
	return "keys: " + strings.Join(parts, ", ")
}
