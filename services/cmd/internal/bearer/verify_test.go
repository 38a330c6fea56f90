package bearer

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/services/cmd/internal/bearer/bearertest"
	"example.com/orderflow/services/internal/httpapi"
)

var discard = slog.New(slog.DiscardHandler)

// newVerifier returns a verifier with the keys in a file.
func newVerifier(t testing.TB, keys ...bearertest.Key) *Verifier {
	t.Helper()
	k, err := OpenKeys(t.Context(), bearertest.File(t, keys...), discard)
	if err != nil {
		t.Fatal(err)
	}
	// The tests that need Run call it; others must not wait for a key that is not there.
	k.misses.SetBurst(0)
	return NewVerifier(k, bearertest.Issuer, bearertest.Audience)
}

func reasonOf(err error) string {
	var u *httpapi.Unauthenticated
	if errors.As(err, &u) {
		return u.Reason
	}
	return fmt.Sprint(err)
}

func TestEveryAlgorithm(t *testing.T) {
	for _, algorithm := range algorithms {
		key := bearertest.NewKey(t, "k1", algorithm)
		v := newVerifier(t, key, bearertest.NewKey(t, "k2", algorithm))
		got, err := v.Verify(t.Context(), key.Token(t, "ann", "a b"))
		if diff := cmp.Diff(Token{Subject: "ann", Scopes: []string{"a", "b"}}, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", algorithm, err, diff)
		}
	}
}

func TestClaims(t *testing.T) {
	key := bearertest.NewKey(t, "k1", jose.EdDSA)
	v := newVerifier(t, key)
	now := time.Now().Unix()
	for _, tt := range []struct {
		name    string
		changes map[string]any
		want    string // reason; empty: valid
	}{
		{"as they are", nil, ""},
		{"expired", map[string]any{"exp": now - 60}, "the token has expired"},
		{"expired within the leeway", map[string]any{"exp": now - 20}, ""},
		{"no end", map[string]any{"exp": nil}, "the token has no exp"},
		{"an end that is null", map[string]any{"exp": json.RawMessage("null")}, "the token has no exp"},
		{"an end in words", map[string]any{"exp": "tomorrow"}, "the claims of the token can't be read"},
		{"an end as text", map[string]any{"exp": "99999999999"}, "the claims of the token can't be read"},
		{"an end with a fraction", map[string]any{"exp": float64(now) + 60.5}, ""},
		{"an end beyond all times", map[string]any{"exp": json.RawMessage("1e300")}, "the token has expired"},
		{"not valid yet", map[string]any{"nbf": now + 60}, "the token is not valid yet"},
		{"valid soon", map[string]any{"nbf": now + 20}, ""},
		{"issued later", map[string]any{"iat": now + 600}, ""},
		{"another issuer", map[string]any{"iss": "https://evil.example.com/"}, "the token is of another issuer"},
		{"almost the issuer", map[string]any{"iss": strings.TrimSuffix(bearertest.Issuer, "/")}, "the token is of another issuer"},
		{"no issuer", map[string]any{"iss": nil}, "the token is of another issuer"},
		{"issuers", map[string]any{"iss": []string{bearertest.Issuer}}, "the claims of the token can't be read"},
		{"another audience", map[string]any{"aud": "billing"}, "the token is for another audience"},
		{"audiences", map[string]any{"aud": []string{"billing", bearertest.Audience}}, ""},
		{"other audiences", map[string]any{"aud": []string{"billing", "orders-api2"}}, "the token is for another audience"},
		{"no audience", map[string]any{"aud": nil}, "the token is for another audience"},
		{"no audiences", map[string]any{"aud": []string{}}, "the token is for another audience"},
		{"no subject", map[string]any{"sub": nil}, "the token has no sub"},
		{"an empty subject", map[string]any{"sub": ""}, "the token has no sub"},
		{"a number as subject", map[string]any{"sub": 123}, "the claims of the token can't be read"},
		{"a scope that is a number", map[string]any{"scope": 1}, "the claims of the token can't be read"},
	} {
		_, err := v.Verify(t.Context(), key.Sign(t, bearertest.Claims("ann", tt.changes)))
		if (err == nil) != (tt.want == "") || err != nil && reasonOf(err) != tt.want {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestScopes(t *testing.T) {
	key := bearertest.NewKey(t, "k1", jose.EdDSA)
	v := newVerifier(t, key)
	for _, tt := range []struct {
		claims map[string]any
		want   []string
	}{
		{nil, nil}, {map[string]any{"scope": ""}, nil}, {map[string]any{"scope": " a  b "}, []string{"a", "b"}}, {map[string]any{"scp": []string{"a", "b c"}}, []string{"a", "b c"}},
		{map[string]any{"scp": "a b"}, []string{"a", "b"}}, {map[string]any{"scope": "a", "scp": []string{"b"}}, []string{"a", "b"}}, {map[string]any{"Scope": "a", "SCP": "b"}, nil},
		{map[string]any{"scope": []string{"a"}}, []string{"a"}}, {map[string]any{"scp": json.RawMessage("null")}, nil},
	} {
		got, err := v.Verify(t.Context(), key.Sign(t, bearertest.Claims("ann", tt.claims)))
		if err != nil || !slices.Equal(got.Scopes, tt.want) {
			t.Errorf("%v: %v, %v, want %v", tt.claims, got.Scopes, err, tt.want)
		}
	}
	if !(Token{Scopes: []string{"a", "b"}}).Has("c", "b") || (Token{Scopes: []string{"a"}}).Has("b") || (Token{}).Has("") {
		t.Error("Has is wrong")
	}
}

// Forged tokens are refused, whatever they say about how to check them.
func TestForgeries(t *testing.T) {
	rs, es := bearertest.NewKey(t, "rs", jose.RS256), bearertest.NewKey(t, "es", jose.ES256)
	ed, other := bearertest.NewKey(t, "ed", jose.EdDSA), bearertest.NewKey(t, "rs", jose.RS256)
	v := newVerifier(t, rs, es, ed)
	payload, err := json.Marshal(bearertest.Claims("ann", nil))
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(rs.Public())
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	mine, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	embedded, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: mine}, &jose.SignerOptions{EmbedJWK: true})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := embedded.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	withKey, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	valid := rs.Token(t, "ann", "")
	parts := strings.Split(valid, ".")
	header := func(text string) string { return encode([]byte(text)) + "." + encode(payload) + "." }
	const notSigned, wrongAlgorithm, wrongSignature, unknown = "the token is not a signed JSON Web Token", "the token is not signed with RS256, ES256 or EdDSA", "the signature of the token is wrong", "the key of the token is not known"
	for _, tt := range []struct{ name, token, want string }{
		{"valid", valid, ""},
		{"no text", "", notSigned},
		{"a word", "x", notSigned},
		{"dots", "..", wrongAlgorithm},
		{"two parts", parts[0] + "." + parts[1], notSigned},
		{"four parts", valid + ".x", notSigned},
		{"five parts", "a.b.c.d.e", notSigned},
		{"none", header(`{"alg":"none"}`), wrongAlgorithm},
		{"None", header(`{"alg":"None","kid":"rs"}`), wrongAlgorithm},
		{"no algorithm", header(`{"kid":"rs"}`), wrongAlgorithm},
		{"algorithm twice", header(`{"alg":"RS256","alg":"none"}`), notSigned},
		{"HS256 with the public key", bearertest.Signed(t, jose.HS256, jose.JSONWebKey{Key: publicPEM, KeyID: "rs"}, payload, nil), wrongAlgorithm},
		{"HS256 with its DER", bearertest.Signed(t, jose.HS256, jose.JSONWebKey{Key: der, KeyID: "rs"}, payload, nil), wrongAlgorithm},
		{"RS512", bearertest.Signed(t, jose.RS512, jose.JSONWebKey{Key: mine, KeyID: "rs"}, payload, nil), wrongAlgorithm},
		{"PS256", bearertest.Signed(t, jose.PS256, jose.JSONWebKey{Key: mine, KeyID: "rs"}, payload, nil), wrongAlgorithm},
		{"another key of the same name", other.Token(t, "ann", ""), wrongSignature},
		{"the key in the token", withKey, wrongSignature},
		{"an unknown key", bearertest.NewKey(t, "new", jose.RS256).Token(t, "ann", ""), unknown},
		{"a key of another algorithm", bearertest.Signed(t, jose.RS256, jose.JSONWebKey{Key: mine, KeyID: "es"}, payload, nil), unknown},
		{"a key elsewhere", bearertest.Signed(t, jose.RS256, jose.JSONWebKey{Key: mine, KeyID: "new"}, payload, map[jose.HeaderKey]any{"jku": "https://evil.example.com/jwks.json"}), unknown},
		{"a critical header", bearertest.Signed(t, jose.RS256, jose.JSONWebKey{Key: mine, KeyID: "rs"}, payload, map[jose.HeaderKey]any{"crit": []string{"exp"}, "exp": 1}), wrongSignature},
		{"another payload", parts[0] + "." + encode([]byte(strings.Replace(string(payload), "ann", "bob", 1))) + "." + parts[2], wrongSignature},
		{"no signature", parts[0] + "." + parts[1] + ".", wrongSignature},
		{"the signature cut", valid[:len(valid)-4], wrongSignature},
		{"the algorithm changed", encode([]byte(`{"alg":"ES256","kid":"es"}`)) + "." + parts[1] + "." + parts[2], wrongSignature},
		{"zeros as an ES256 signature", header(`{"alg":"ES256","kid":"es"}`) + encode(make([]byte, 64)), wrongSignature},
		{"JSON form", signed.FullSerialize(), notSigned},
	} {
		token, err := v.Verify(t.Context(), tt.token)
		if (err == nil) != (tt.want == "") || err != nil && reasonOf(err) != tt.want {
			t.Errorf("%s: %+v, %v, want %q", tt.name, token, err, tt.want)
		}
	}
}

// A token that names no key is for the only key of its algorithm.
func TestTokensWithoutKeyID(t *testing.T) {
	one, two := bearertest.NewKey(t, "one", jose.ES256), bearertest.NewKey(t, "two", jose.ES256)
	unnamed := bearertest.NewKey(t, "", jose.ES256)
	nameless := one
	nameless.ID = ""
	for _, tt := range []struct {
		name  string
		keys  []bearertest.Key
		token string
		valid bool
	}{
		{"one key with a name", []bearertest.Key{one, bearertest.NewKey(t, "rs", jose.RS256)}, nameless.Token(t, "ann", ""), true},
		{"two keys with names", []bearertest.Key{one, two}, nameless.Token(t, "ann", ""), false},
		{"a key without a name", []bearertest.Key{unnamed, two}, unnamed.Token(t, "ann", ""), true},
		{"the key without a name is another", []bearertest.Key{unnamed, one}, nameless.Token(t, "ann", ""), false},
		{"two keys of one name", []bearertest.Key{one, {ID: "one", Algorithm: jose.ES256}}, one.Token(t, "ann", ""), true},
	} {
		if tt.name == "two keys of one name" {
			twin := bearertest.NewKey(t, "one", jose.ES256)
			tt.keys = []bearertest.Key{twin, one}
		}
		_, err := newVerifier(t, tt.keys...).Verify(t.Context(), tt.token)
		if (err == nil) != tt.valid {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// No header makes the verifier panic or accept what no key has signed.
func FuzzAuthenticate(f *testing.F) {
	key := bearertest.NewKey(f, "k1", jose.ES256)
	v := newVerifier(f, key)
	valid := "Bearer " + key.Token(f, "ann", "a b")
	parts := strings.Split(valid, ".")
	for _, seed := range []string{valid, "Bearer ", "Bearer a.b.c", "bearer " + parts[0] + ".e30." + parts[2], parts[0] + "." + parts[1] + ".", "Basic x", `Bearer {"payload":"","signatures":[]}`, valid + "=", strings.ToUpper(valid)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequest("GET", "/orders", nil)
		r.Header["Authorization"] = []string{header}
		token, err := v.Authenticate(r)
		var u *httpapi.Unauthenticated
		switch {
		case err != nil && (!errors.As(err, &u) || token.Subject != ""):
			t.Errorf("%q: %+v, %v", header, token, err)
		case err == nil && token.Subject != "ann":
			t.Errorf("%q is valid, for %+v", header, token)
		}
	})
}

func TestClocks(t *testing.T) {
	key := bearertest.NewKey(t, "k1", jose.EdDSA)
	v := newVerifier(t, key)
	synctest.Test(t, func(t *testing.T) {
		token := key.Sign(t, bearertest.Claims("ann", map[string]any{"exp": time.Now().Add(time.Minute).Unix(), "nbf": time.Now().Add(time.Minute - time.Second).Unix()}))
		for _, tt := range []struct {
			at   time.Duration
			want string
		}{{0, "the token is not valid yet"}, {29 * time.Second, ""}, {89 * time.Second, ""}, {90 * time.Second, "the token has expired"}} {
			time.Sleep(tt.at - time.Since(synctestStart))
			if _, err := v.Verify(t.Context(), token); (err == nil) != (tt.want == "") || err != nil && reasonOf(err) != tt.want {
				t.Errorf("after %v: %v, want %q", tt.at, err, tt.want)
			}
		}
	})
}

// synctestStart is when each bubble begins.
var synctestStart = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// A token that comes again, and one that is new.
func BenchmarkAuthenticate(b *testing.B) {
	for _, algorithm := range algorithms {
		b.Run(string(algorithm)+" again", func(b *testing.B) {
			key := bearertest.NewKey(b, "k1", algorithm)
			v := newVerifier(b, key)
			r := httptest.NewRequest("GET", "/orders", nil)
			r.Header.Set("Authorization", "Bearer "+key.Token(b, "ann", "orders:read:all orders:write:all"))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Authenticate(r); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(string(algorithm)+" new", func(b *testing.B) {
			key := bearertest.NewKey(b, "k1", algorithm)
			v := newVerifier(b, key)
			token := key.Token(b, "ann", "orders:read:all orders:write:all")
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := v.open(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
