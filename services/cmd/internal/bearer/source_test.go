package bearer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"
	"golang.org/x/time/rate"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/cmd/internal/bearer/bearertest"
	"example.com/orderflow/services/internal/logtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// run runs the keys until the test ends.
func run(t *testing.T, k *Keys) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// keyServer serves a JWKS that tests change.
type keyServer struct {
	*httptest.Server
	asked    atomic.Int64
	document atomic.Pointer[[]byte]
	status   atomic.Int64
}

func newKeyServer(t *testing.T, keys ...bearertest.Key) *keyServer {
	s := new(keyServer)
	s.serve(t, keys...)
	s.status.Store(200)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.asked.Add(1)
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(int(s.status.Load()))
		_, _ = w.Write(*s.document.Load())
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *keyServer) serve(t *testing.T, keys ...bearertest.Key) {
	document := bearertest.JWKS(t, keys...)
	s.document.Store(&document)
}

// A new key is asked for when the first token names it. One that was taken away ends its
// tokens with the next load.
func TestRotation(t *testing.T) {
	first, second := bearertest.NewKey(t, "first", jose.ES256), bearertest.NewKey(t, "second", jose.ES256)
	server := newKeyServer(t, first)
	keys, err := OpenKeys(t.Context(), server.URL, discard)
	if err != nil {
		t.Fatal(err)
	}
	run(t, keys)
	v := NewVerifier(keys, bearertest.Issuer, bearertest.Audience)
	check := func(what string, key bearertest.Key, want string) {
		t.Helper()
		_, err := v.Verify(t.Context(), key.Token(t, "ann", ""))
		if (err == nil) != (want == "") || err != nil && reasonOf(err) != want {
			t.Errorf("%s: %v, want %q", what, err, want)
		}
	}
	again := first.Token(t, "ann", "")
	if _, err := v.Verify(t.Context(), again); err != nil { // also waits for the first load
		t.Fatal(err)
	}
	check("the first key", first, "")
	if n := server.asked.Load(); n != 1 {
		t.Errorf("the server was asked %d times", n)
	}
	server.serve(t, first, second)
	check("a new key", second, "")
	check("the key before", first, "")
	server.serve(t, second)
	check("a key that does not exist", bearertest.NewKey(t, "third", jose.ES256), "the key of the token is not known")
	check("a key that was taken away", first, "the key of the token is not known")
	if _, err := v.Verify(t.Context(), again); err == nil {
		t.Error("a token that was valid with a key that was taken away is valid")
	}
}

// A server of keys that is away, or answers nonsense, stops nobody whose key is known.
func TestKeyServerIsAway(t *testing.T) {
	known, other := bearertest.NewKey(t, "known", jose.ES256), bearertest.NewKey(t, "other", jose.ES256)
	server := newKeyServer(t, known)
	var log logtest.Buffer
	keys, err := OpenKeys(t.Context(), server.URL+"?key=hunter2", slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	keys.misses.SetLimit(rate.Inf)
	run(t, keys)
	v := NewVerifier(keys, bearertest.Issuer, bearertest.Audience)
	if _, err := v.Verify(t.Context(), known.Token(t, "ann", "")); err != nil {
		t.Fatal(err)
	}
	good := *server.document.Load()
	huge := bytes.Repeat([]byte(" "), maxDocument+1)
	for _, tt := range []struct {
		name     string
		status   int64
		document []byte
		want     string // in the log
	}{
		{"not found", 404, good, "answers 404"},
		{"redirected", 302, good, "answers 302"},
		{"broken", 500, good, "answers 500"},
		{"no JSON", 200, []byte("<html>"), "it is not a JWKS"},
		{"no keys", 200, []byte(`{"keys":[]}`), "it has no key"},
		{"too large", 200, huge, "larger than 256 KiB"},
	} {
		server.status.Store(tt.status)
		server.document.Store(&tt.document)
		if _, err := v.Verify(t.Context(), other.Token(t, "ann", "")); !errors.Is(err, ports.ErrUnavailable) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: an unknown key: %v", tt.name, err)
		}
		if _, err := v.Verify(t.Context(), known.Token(t, "bob", "")); err != nil {
			t.Errorf("%s: a known key: %v", tt.name, err)
		}
		if keys.Known(t.Context()) != nil || keys.Current(t.Context()) == nil {
			t.Errorf("%s: known %v, current %v", tt.name, keys.Known(t.Context()), keys.Current(t.Context()))
		}
	}
	server.status.Store(200)
	server.serve(t, known, other)
	if _, err := v.Verify(t.Context(), other.Token(t, "ann", "")); err != nil {
		t.Errorf("the server is back: %v", err)
	}
	server.Close()
	if _, err := v.Verify(t.Context(), known.Token(t, "carl", "")); err != nil {
		t.Errorf("nobody listens: %v", err)
	}
	if text := log.String(); strings.Contains(text, "hunter2") || !strings.Contains(text, "those that are known stay") || !strings.Contains(text, "can be loaded again") {
		t.Errorf("the log is %s", text)
	}
}

// A start without the server knows no key until it is back.
func TestStartWithoutKeyServer(t *testing.T) {
	key := bearertest.NewKey(t, "k1", jose.EdDSA)
	document := bearertest.JWKS(t, key)
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		away.Store(true)
		keys := newKeys("the server", urlInterval, func(context.Context) ([]byte, error) {
			time.Sleep(time.Second)
			if away.Load() {
				return nil, errors.New("connection refused")
			}
			return document, nil
		}, discard)
		run(t, keys)
		v := NewVerifier(keys, bearertest.Issuer, bearertest.Audience)
		token := key.Sign(t, bearertest.Claims("ann", nil))
		for range 50 {
			if _, err := v.Verify(t.Context(), token); !errors.Is(err, ports.ErrUnavailable) {
				t.Fatal(err)
			}
			if keys.Known(t.Context()) == nil || keys.Current(t.Context()) == nil {
				t.Error("ready without keys")
			}
		}
		away.Store(false)
		time.Sleep(retryInterval + 2*time.Second)
		if _, err := v.Verify(t.Context(), token); err != nil || keys.Known(t.Context()) != nil || keys.Current(t.Context()) != nil {
			t.Errorf("the server is back: %v", err)
		}
	})
}

// Unknown keys load the keys a few times a minute, one load at a time, however many tokens
// name one.
func TestUnknownKeysAreBounded(t *testing.T) {
	key := bearertest.NewKey(t, "k1", jose.EdDSA)
	document := bearertest.JWKS(t, key)
	synctest.Test(t, func(t *testing.T) {
		var loads, now, most atomic.Int64
		keys := newKeys("the server", urlInterval, func(context.Context) ([]byte, error) {
			loads.Add(1)
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(100 * time.Millisecond)
			now.Add(-1)
			return document, nil
		}, discard)
		run(t, keys)
		v := NewVerifier(keys, bearertest.Issuer, bearertest.Audience)
		time.Sleep(time.Second)
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				forged := key
				for n := range 60 {
					forged.ID = fmt.Sprint("unknown-", i, "-", n)
					began := time.Now()
					if _, err := v.Verify(t.Context(), forged.Sign(t, bearertest.Claims("ann", nil))); err == nil || errors.Is(err, ports.ErrUnavailable) {
						t.Errorf("%s: %v", forged.ID, err)
					}
					if waited := time.Since(began); waited > 200*time.Millisecond {
						t.Errorf("waited %v", waited)
					}
					time.Sleep(time.Second)
				}
			})
		}
		wg.Wait()
		if n, limit := loads.Load(), int64(1+missBurst+time.Minute/missInterval+1); n < 3 || n > limit || most.Load() != 1 {
			t.Errorf("1200 unknown keys in a minute caused %d loads, %d at once; want at most %d", n, most.Load(), limit)
		}
	})
}

// A load that hangs delays a request with an unknown key by a bounded time, and the others
// not at all.
func TestLoadHangs(t *testing.T) {
	key := bearertest.NewKey(t, "k1", jose.EdDSA)
	document := bearertest.JWKS(t, key)
	synctest.Test(t, func(t *testing.T) {
		hangs := false
		keys := newKeys("the server", urlInterval, func(ctx context.Context) ([]byte, error) {
			if !hangs {
				hangs = true
				return document, nil
			}
			select {
			case <-time.After(time.Hour):
			case <-ctx.Done():
			}
			return nil, ctx.Err()
		}, discard)
		run(t, keys)
		v := NewVerifier(keys, bearertest.Issuer, bearertest.Audience)
		synctest.Wait()
		unknown := key
		unknown.ID = "unknown"
		for _, tt := range []struct {
			key    bearertest.Key
			waited time.Duration
		}{{unknown, waitTimeout}, {key, 0}, {unknown, waitTimeout}} {
			began := time.Now()
			_, err := v.Verify(t.Context(), tt.key.Sign(t, bearertest.Claims("ann", nil)))
			if waited := time.Since(began); waited != tt.waited || errors.Is(err, ports.ErrUnavailable) != (waited > 0) {
				t.Errorf("%s: %v after %v, want %v", tt.key.ID, err, waited, tt.waited)
			}
		}
	})
}

// A file is read again when it changes. A wrong one changes nothing.
func TestFileChanges(t *testing.T) {
	first, second := bearertest.NewKey(t, "first", jose.EdDSA), bearertest.NewKey(t, "second", jose.EdDSA)
	path := bearertest.File(t, first)
	firstDocument, both := bearertest.JWKS(t, first), bearertest.JWKS(t, first, second)
	synctest.Test(t, func(t *testing.T) {
		keys, err := OpenKeys(t.Context(), path, discard)
		if err != nil {
			t.Fatal(err)
		}
		keys.misses.SetBurst(0)
		run(t, keys)
		v := NewVerifier(keys, bearertest.Issuer, bearertest.Audience)
		check := func(what string, firstWant, secondWant string) {
			t.Helper()
			time.Sleep(fileInterval + time.Millisecond)
			synctest.Wait()
			for key, want := range map[*bearertest.Key]string{&first: firstWant, &second: secondWant} {
				_, err := v.Verify(t.Context(), key.Sign(t, bearertest.Claims("ann", nil)))
				if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
					t.Errorf("%s: %s: %v, want %q", what, key.ID, err, want)
				}
			}
		}
		write := func(document []byte) {
			t.Helper()
			if err := os.WriteFile(path, document, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		check("at first", "", "the key of the token is not known")
		write(both)
		check("with another key", "", "")
		write([]byte(`{"keys":[{}]}`))
		check("with nonsense", "", "")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		check("without the file", "", "")
		if keys.Current(t.Context()) == nil {
			t.Error("the missing file is not reported")
		}
		write(firstDocument)
		check("without the second", "", "the key of the token is not known")
	})
}

func TestKeysInFile(t *testing.T) {
	jwk := func(changes map[string]string) string {
		key := map[string]string{"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
		for name, value := range changes {
			key[name] = value
		}
		var members []string
		for name, value := range key {
			if !strings.HasPrefix(value, "[") {
				value = fmt.Sprintf("%q", value)
			}
			members = append(members, fmt.Sprintf("%q:%s", name, value))
		}
		return `{"keys":[` + "{" + strings.Join(members, ",") + `}]}`
	}
	const p384 = `{"keys":[{"kty":"EC","crv":"P-384","x":"BzBSXNSuMQyHhFk5dLzfKQ6BGlZrRwuWOUSN_QkKOCqiPDIDwvd6fTh7hyQYS5sL","y":"pWp7ZQsp7vN-GkYH9m8eEpu4N1DU3gdC3ZRR3kdRhLFWfxhyqDbSCDgNSLRvWPkk"}]}`
	for _, tt := range []struct{ name, document, want string }{
		{"a key", jwk(nil), ""},
		{"with its use", jwk(map[string]string{"use": "sig", "alg": "EdDSA", "key_ops": `["verify"]`}), ""},
		{"for encryption", jwk(map[string]string{"use": "enc"}), "key 1: it is not for signatures"},
		{"for signing", jwk(map[string]string{"key_ops": `["sign"]`}), "key 1: it is not for signatures"},
		{"for another algorithm", jwk(map[string]string{"alg": "ES256"}), `key 1: it is for "ES256", not EdDSA`},
		{"a private key", jwk(map[string]string{"d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}), "key 1: it is a private key"},
		{"a secret", `{"keys":[{"kty":"oct","kid":"k1","k":"c2VjcmV0"}]}`, "it is not a public key"},
		{"a small RSA key", `{"keys":[{"kty":"RSA","e":"AQAB","n":"` + strings.Repeat("_", 171) + `"}]}`, "it has 1024 bits, not 2048 to 8192"},
		{"another curve", p384, "key 1:"},
		{"half a key", jwk(map[string]string{"x": ""}), "key 1: its x is not 32 bytes"},
		{"another type", `{"keys":[{"kty":"PQ"}]}`, "key 1: it can't be read"},
		{"null", `{"keys":[null]}`, "key 1: it can't be read"},
		{"no keys", `{"keys":[]}`, "it has no key for RS256, ES256 or EdDSA"},
		{"nothing", `{}`, "it has no key"},
		{"a list", `[]`, "it is not a JWKS"},
		{"no JSON", `-----BEGIN PUBLIC KEY-----`, "it is not a JWKS"},
		{"empty", ``, "it is not a JWKS"},
		{"too many", `{"keys":[` + strings.Repeat("null,", maxKeys) + `null]}`, "it has 101 keys"},
		{"too large", strings.Repeat(" ", maxDocument+1), "it is larger than 256 KiB"},
	} {
		path := filepath.Join(t.TempDir(), "keys.json")
		if err := os.WriteFile(path, []byte(tt.document), 0o600); err != nil {
			t.Fatal(err)
		}
		found, err := Examine(t.Context(), path)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) || err == nil && found != "keys: 1 for EdDSA" {
			t.Errorf("%s: %q, %v, want %q", tt.name, found, err, tt.want)
		}
	}
	if _, err := Examine(t.Context(), t.TempDir()); err == nil {
		t.Error("a folder is accepted")
	}
	mixed := strings.Replace(jwk(nil), "[", `[{"kty":"PQ"},`, 1)
	if set, err := parseKeys([]byte(mixed)); err != nil || !strings.HasPrefix(set.String(), "keys: 1 for EdDSA, not used: key 1: ") {
		t.Errorf("beside an unknown kind: %v, %v", set, err)
	}
}

func TestPlaces(t *testing.T) {
	for place, valid := range map[string]bool{
		"keys.json": true, "/etc/keys.json": true, "https://login.example.com/jwks.json?v=1": true,
		"http://localhost:8000/jwks": true, "http://127.0.0.1/jwks": true, "http://[::1]:80/jwks": true,
		"http://login.example.com/jwks.json": false, "http://localhost.example.com/jwks": false, "http://10.0.0.1/jwks": false, "http://127.0.0.1.example.com/": false,
		"https://": false, "https://u:p@login.example.com/": false, "https://login.example.com/#x": false, "file:///etc/keys.json": false, "ftp://login.example.com/": false,
	} {
		if err := CheckPlace(place); (err == nil) != valid {
			t.Errorf("%s: %v", place, err)
		}
	}
}

// Tokens that come again are not checked again, and there is a bound on how many are kept.
func TestCache(t *testing.T) {
	key := bearertest.NewKey(t, "k1", jose.EdDSA)
	v := newVerifier(t, key)
	for i := range 3 * maxCached {
		v.seen.add(digest{byte(i), byte(i >> 8), byte(i >> 16)}, checked{})
		if n := len(v.seen.current) + len(v.seen.earlier); n > 2*maxCached {
			t.Fatalf("keeps %d tokens", n)
		}
	}
	v = newVerifier(t, key)
	large := key.Token(t, "ann", strings.Repeat("scope ", 500))
	token := key.Token(t, "ann", "")
	for range 3 {
		for _, token := range []string{large, token} {
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := len(v.seen.current); n != 1 {
		t.Errorf("keeps %d tokens, want the small one", n)
	}
}
