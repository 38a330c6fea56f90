package app

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/cmd/internal/bearer/bearertest"
	"example.com/orderflow/services/internal/apitest"
	"example.com/orderflow/services/notification"
	"example.com/orderflow/services/order"
)

const annsOrder = "0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234"

// guarded are the handlers of both services, with an order of ann and its notification.
type guarded struct {
	orders        *order.Handler
	notifications *notification.Handler
	place         func() int // how many orders were placed
}

func newGuarded(t testing.TB, tokens *Tokens) guarded {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	store := new(memory.Store)
	relay, err := order.NewRelay(store.Orders(), new(memory.Broker).Publisher(), log)
	must(err)
	service, err := order.NewService(store.Orders(), relay, log)
	must(err)
	orders, err := order.NewHandler(service, nil, nil, log)
	must(err)
	control, err := notification.NewControl(notification.Store{
		Deliveries: store.Deliveries(), States: store.ChannelStates(), Contacts: store.Contacts(), DeadLetters: store.DeadLetters(), Actions: store.OperatorActions(),
	}, []notification.ChannelInfo{{Name: "log", Kind: "log"}}, log)
	must(err)
	notifications, err := notification.NewHandler(control, nil, nil, log)
	must(err)
	tokens.GuardOrders(orders)
	tokens.GuardNotifications(notifications)

	placed, err := domain.NewOrder(annsOrder, "ann", "Laptop", 1, time.Now())
	must(err)
	must(store.Orders().Add(t.Context(), placed, domain.Origin{}))
	claim, err := store.Deliveries().Claim(t.Context(), domain.NotificationKey{EventID: placed.Created().ID, Channel: "log"})
	must(err)
	must(claim.Record(t.Context(), domain.Notification{
		EventID: placed.Created().ID, Channel: "log", OrderID: placed.ID, UserID: "ann", State: domain.Sent, At: time.Now(), Attempt: 1, First: time.Now(),
	}, placed.Created()))
	return guarded{orders, notifications, func() int {
		page, err := store.Orders().List(t.Context(), ports.OrderQuery{Limit: ports.MaxListLimit})
		must(err)
		return len(page.Orders)
	}}
}

// openOperations are those that anybody may ask for: they show nobody's data.
var openOperations = []string{"GET /livez", "GET /readyz", "GET /openapi.yaml", "GET /asyncapi.yaml"}

// Every operation of the public addresses that is not open refuses every request without a
// valid token, and shows users what is theirs.
func TestEveryRouteWithEveryToken(t *testing.T) {
	rs, es, ed := bearertest.NewKey(t, "rs", jose.RS256), bearertest.NewKey(t, "es", jose.ES256), bearertest.NewKey(t, "ed", jose.EdDSA)
	settings := Authentication{AuthJWKS: bearertest.File(t, rs, es, ed), AuthIssuer: bearertest.Issuer, AuthAudience: bearertest.Audience}
	tokens, err := settings.OpenTokens(t.Context(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- tokens.Keys().Run(ctx) }()
	defer func() { stop(); <-ended }()
	h := newGuarded(t, tokens)
	documents := map[http.Handler]*apitest.Document{
		h.orders: apitest.Load(order.OpenAPI, func(path string) bool { return !isOfPrograms(path) && path != "/account" }), h.notifications: apitest.Load(notification.OpenAPI, func(string) bool { return true }),
	}

	now := time.Now()
	claims := func(changes map[string]any) string { return rs.Sign(t, bearertest.Claims("ann", changes)) }
	payload, _ := json.Marshal(bearertest.Claims("ann", nil))
	foreign, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(rs.Public())
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	with := func(algorithm jose.SignatureAlgorithm, key any, id string) string {
		return bearertest.Signed(t, algorithm, jose.JSONWebKey{Key: key, KeyID: id}, payload, nil)
	}
	invalid := map[string]string{
		"no token": "", "a word": "x", "nothing signed": "e30.e30.e30", "wrong signature": with(jose.RS256, foreign, "rs"), "unknown key": with(jose.RS256, foreign, "new"),
		"RS512": with(jose.RS512, foreign, "rs"), "PS256": with(jose.PS256, foreign, "rs"), "HS256 with the public key": with(jose.HS256, public, "rs"),
		"none":    base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"rs"}`)) + "." + base64.RawURLEncoding.EncodeToString(payload) + ".",
		"expired": claims(map[string]any{"exp": now.Add(-time.Minute).Unix()}), "not valid yet": claims(map[string]any{"nbf": now.Add(time.Minute).Unix()}),
		"wrong issuer": claims(map[string]any{"iss": "https://evil.example.com/"}), "wrong audience": claims(map[string]any{"aud": "billing"}),
		"no end": claims(map[string]any{"exp": nil}), "no subject": claims(map[string]any{"sub": nil}), "a subject that is no user": claims(map[string]any{"sub": strings.Repeat("x", 129)}),
	}
	valid := map[string]string{
		"own": rs.Token(t, "ann", ""), "own by ES256": es.Token(t, "ann", "openid"), "own by EdDSA": ed.Token(t, "ann", "orders:read"), "another's": es.Token(t, "bob", "orders:read"),
		"read all": ed.Token(t, "bob", order.ScopeReadAll), "write all": es.Sign(t, bearertest.Claims("bob", map[string]any{"scp": []string{order.ScopeWriteAll}})),
		"read notifications": es.Token(t, "bob", notification.ScopeReadAll),
	}
	own := map[string]int{"own": 201, "own by ES256": 201, "own by EdDSA": 201, "write all": 201, "another's": 403, "read all": 403, "read notifications": 403}
	list := map[string]int{"own": 200, "own by ES256": 200, "own by EdDSA": 200, "read all": 200, "another's": 403, "write all": 403, "read notifications": 403}
	get := map[string]int{"own": 200, "own by ES256": 200, "own by EdDSA": 200, "read all": 200, "another's": 404, "write all": 404, "read notifications": 404}
	seen := map[string]int{"own": 200, "own by ES256": 200, "own by EdDSA": 200, "read all": 200, "another's": 204, "write all": 204, "read notifications": 200} // 204: an empty list
	all := map[string]struct {
		target, body string
		want         map[string]int
	}{
		"POST /order": {"/order", `{"user_id":"ann","product":"Laptop","quantity":1}`, own}, "POST /orders": {"/orders", `{"user_id":"ann","product":"Laptop","quantity":1}`, own},
		"GET /orders": {"/orders?user_id=ann", "", list}, "GET /orders/{id}": {"/orders/" + annsOrder, "", get}, "GET /notifications": {"/notifications?order_id=" + annsOrder, "", seen},
	}

	for _, api := range []interface {
		http.Handler
		Operations() []string
	}{h.orders, h.notifications} {
		for _, operation := range api.Operations() {
			method, target, _ := strings.Cut(operation, " ")
			send := func(method, token, target, body string) (int, string) {
				r := httptest.NewRequest(method, target, strings.NewReader(body))
				if body != "" {
					r.Header.Set("Content-Type", "application/json")
				}
				if token != "" {
					r.Header.Set("Authorization", "Bearer "+token)
				}
				w := documents[api].Do(api, r)
				if challenge := w.Header().Get("WWW-Authenticate"); (w.Code == 401 || w.Code == 403) != strings.HasPrefix(challenge, "Bearer ") {
					t.Errorf("%s: answered %d with the challenge %q", operation, w.Code, challenge)
				}
				return w.Code, w.Body.String()
			}
			if slices.Contains(openOperations, operation) {
				for _, token := range []string{"", "x"} {
					if status, body := send(method, token, target, ""); status != 200 {
						t.Errorf("%s is shut: answered %d %s", operation, status, body)
					}
				}
				continue
			}
			request, ok := all[operation]
			if !ok {
				t.Errorf("%s: the matrix lacks it", operation)
				continue
			}
			before := h.place()
			for name, token := range invalid {
				for _, method := range slices.Compact([]string{method, strings.Replace(method, "GET", "HEAD", 1)}) {
					if status, body := send(method, token, request.target, request.body); status != 401 || strings.Contains(body, "ann") {
						t.Errorf("%s %s, %s: answered %d %s", method, operation, name, status, body)
					}
				}
			}
			if after := h.place(); after != before {
				t.Errorf("%s placed %d orders without a valid token", operation, after-before)
			}
			for name, token := range valid {
				status, body := send(method, token, request.target, request.body)
				if operation == "GET /notifications" && status == 200 && !strings.Contains(body, annsOrder) {
					status = 204
				}
				if status != request.want[name] || status != 201 && status != 200 && (strings.Contains(body, "Laptop") || strings.Contains(body, `"ann"`)) {
					t.Errorf("%s, %s: answered %d %s, want %d", operation, name, status, body, request.want[name])
				}
			}
		}
	}
	for _, document := range documents {
		var out bytes.Buffer
		if document.Report(&out, false) != 0 {
			t.Error(out.String())
		}
	}
}

func TestOpenTokens(t *testing.T) {
	key := bearertest.NewKey(t, "k1", jose.EdDSA)
	log := slog.New(slog.DiscardHandler)
	if tokens, err := new(Authentication).OpenTokens(t.Context(), log); tokens != nil || err != nil {
		t.Errorf("without keys: %v, %v", tokens, err)
	}
	for place, want := range map[string]string{
		bearertest.File(t, key): "", "nowhere/keys.json": "no such file", bearertest.File(t): "it has no key for RS256, ES256 or EdDSA", "https://localhost:1/jwks.json": "",
	} {
		a := Authentication{AuthJWKS: place, AuthIssuer: "x", AuthAudience: "y"}
		if err := a.Validate(); err != nil {
			t.Error(err)
		}
		_, err := a.OpenTokens(t.Context(), log)
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "--auth-jwks: ")) {
			t.Errorf("%s: %v, want %q", place, err, want)
		}
	}
	for place, want := range map[string]string{"http://login.example.com/": "http lets others change the keys", "file:///keys.json": "an https URL, or a file"} {
		if err := (&Authentication{AuthJWKS: place, AuthIssuer: "x", AuthAudience: "y"}).Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", place, err)
		}
	}
}

// While no key is known, the service is not ready. While known keys can't be read again, it
// is degraded.
func TestReadinessOfKeys(t *testing.T) {
	key := bearertest.NewKey(t, "k1", jose.EdDSA)
	document, up := bearertest.JWKS(t, key), make(chan bool, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if <-up {
			_, _ = w.Write(document)
		} else {
			http.Error(w, "no", http.StatusBadGateway)
		}
	}))
	defer server.Close()
	tokens, err := (&Authentication{AuthJWKS: server.URL, AuthIssuer: bearertest.Issuer, AuthAudience: bearertest.Audience}).OpenTokens(t.Context(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	h := newGuarded(t, tokens)
	ready := func() string {
		w := httptest.NewRecorder()
		h.orders.ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
		return strings.TrimSpace(w.Body.String())
	}
	if got := ready(); got != `{"status":"unready","checks":{"key_source":"down","keys":"down"}}` {
		t.Errorf("before the first load: %s", got)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- tokens.Keys().Run(ctx) }()
	defer func() { stop(); <-ended }()
	up <- true
	ask := func(id string) int {
		asked := key
		asked.ID = id
		r := httptest.NewRequest("GET", "/orders", nil)
		r.Header.Set("Authorization", "Bearer "+asked.Token(t, "ann", ""))
		w := httptest.NewRecorder()
		h.orders.ServeHTTP(w, r)
		return w.Code
	}
	if status := ask("k1"); status != 200 {
		t.Errorf("answered %d", status)
	}
	if got := ready(); got != `{"status":"ready","checks":{"key_source":"up","keys":"up"}}` {
		t.Errorf("after the first load: %s", got)
	}
	up <- false
	if status := ask("new"); status != 503 {
		t.Errorf("an unknown key: answered %d", status)
	}
	if got := ready(); got != `{"status":"degraded","checks":{"key_source":"down","keys":"up"}}` {
		t.Errorf("after a load that has failed: %s", got)
	}
	if status := ask("k1"); status != 200 {
		t.Errorf("a known key: answered %d", status)
	}
}

// What a token adds to a request: one that comes again, and each request with a new one.
func BenchmarkRequestWithToken(b *testing.B) {
	key := bearertest.NewKey(b, "k1", jose.ES256)
	settings := Authentication{AuthJWKS: bearertest.File(b, key), AuthIssuer: bearertest.Issuer, AuthAudience: bearertest.Audience}
	tokens, err := settings.OpenTokens(b.Context(), slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	one := []string{key.Token(b, "ann", "")}
	many := make([]string, 20_000) // more than are kept
	for i := range many {
		many[i] = key.Token(b, "ann", strconv.Itoa(i))
	}
	for _, bb := range []struct {
		name   string
		asks   *Tokens
		tokens []string
	}{{"none", nil, one}, {"again", tokens, one}, {"new", tokens, many}} {
		b.Run(bb.name, func(b *testing.B) {
			h := newGuarded(b, bb.asks)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				r := httptest.NewRequest("GET", "/orders/"+annsOrder, nil)
				r.Header.Set("Authorization", "Bearer "+bb.tokens[i%len(bb.tokens)])
				w := httptest.NewRecorder()
				if h.orders.ServeHTTP(w, r); w.Code != 200 {
					b.Fatal(w.Code, w.Body)
				}
			}
		})
	}
}
