package cmd_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"example.com/orderflow/adapters/tlstest"
	"example.com/orderflow/services/cmd/internal/bearer/bearertest"
)

// caller sends requests by https with a user's token.
type caller struct {
	client *http.Client
	token  string
}

func (c caller) send(t *testing.T, method, url, body string) (status int, answer string) {
	t.Helper()
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// With keys and a certificate, users see their own orders and notifications by https, and the
// commands reach the service, whatever the names of the certificate are.
func TestTokensByHTTPS(t *testing.T) {
	key, next := bearertest.NewKey(t, "k1", jose.RS256), bearertest.NewKey(t, "k2", jose.ES256)
	var document atomic.Pointer[[]byte]
	serve := func(keys ...bearertest.Key) {
		set := bearertest.JWKS(t, keys...)
		document.Store(&set)
	}
	serve(key)
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(*document.Load()) }))
	defer keys.Close()
	authority := tlstest.NewAuthority(t)
	pair := authority.Issue(t, time.Now().Add(30*24*time.Hour), "orders.example.com")
	orders, notifications, admin := freeAddress(t), freeAddress(t), freeAddress(t)
	settings := []string{
		"AUTH_JWKS=" + keys.URL + "/jwks.json", "AUTH_ISSUER=" + bearertest.Issuer, "AUTH_AUDIENCE=" + bearertest.Audience, "TLS_CERT=" + pair.File, "TLS_KEY=" + pair.KeyFile,
		"ORDER_ADDR=" + orders, "NOTIFICATION_ADDR=" + notifications, "ADMIN_ADDR=" + admin, "DATA_DIR=" + t.TempDir() + "/data", "STORE_URL=sqlite:DATA/orderflow.db", "BROKER_URL=sqlite:DATA/orderflow.db",
	}
	p := prepareBinary(binaries, "orderflow", "--shutdown-delay=0s")
	p.cmd.Env = append(p.cmd.Env, settings...)
	p.start(t)
	healthy := func() error {
		if status, stdout, stderr := run(t, settings, "orderflow", "healthcheck"); status != 0 || !strings.Contains(stdout, "https://") {
			return fmt.Errorf("healthcheck: exit status %d, %s%s", status, stdout, stderr)
		}
		return nil
	}
	eventually(t, healthy)
	for _, want := range []string{`curl -i https://localhost:`, `-H "Authorization: Bearer $TOKEN"`, "issuer=" + bearertest.Issuer} {
		awaitLine(t, p, want)
	}
	if strings.Contains(p.out.String(), "level=WARN") {
		t.Errorf("the start warns:\n%s", p.out.String())
	}

	secure := &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.Pool(), ServerName: "orders.example.com"}}}
	defer secure.CloseIdleConnections()
	ann, bob, nobody := caller{secure, key.Token(t, "ann", "")}, caller{secure, key.Token(t, "bob", "")}, caller{client: secure}
	auditor := caller{secure, key.Token(t, "auditor", "orders:read:all")}
	status, answer := ann.send(t, "POST", "https://"+orders+"/order", `{"product":"Laptop","quantity":1}`)
	var placed struct {
		ID     string
		UserID string `json:"user_id"`
	}
	if err := json.Unmarshal([]byte(answer), &placed); err != nil || status != 201 || placed.UserID != "ann" {
		t.Fatalf("answered %d %s", status, answer)
	}
	eventually(t, func() error {
		if status, answer := ann.send(t, "GET", "https://"+notifications+"/notifications", ""); status != 200 || !strings.Contains(answer, placed.ID) {
			return fmt.Errorf("answered %d %s", status, answer)
		}
		return nil
	})
	for _, tt := range []struct {
		who    caller
		target string
		status int
		sees   bool
	}{
		{ann, orders + "/orders", 200, true}, {ann, orders + "/orders/" + placed.ID, 200, true}, {bob, orders + "/orders", 200, false}, {bob, orders + "/orders/" + placed.ID, 404, false},
		{bob, notifications + "/notifications?order_id=" + placed.ID, 200, false}, {nobody, orders + "/orders", 401, false}, {nobody, notifications + "/notifications?order_id=" + placed.ID, 401, false},
		{auditor, orders + "/orders", 200, true}, {auditor, notifications + "/notifications?order_id=" + placed.ID, 200, true},
	} {
		if status, answer := tt.who.send(t, "GET", "https://"+tt.target, ""); status != tt.status || strings.Contains(answer, `"ann"`) != tt.sees {
			t.Errorf("%s: answered %d %s, want %d", tt.target, status, answer, tt.status)
		}
	}

	// A new key is known with its first token. A key server that is away stops nobody.
	serve(key, next)
	if status, answer := (caller{secure, next.Token(t, "ann", "")}).send(t, "GET", "https://"+orders+"/orders", ""); status != 200 {
		t.Errorf("a new key: answered %d %s", status, answer)
	}
	keys.Close()
	if status, answer := (caller{secure, key.Token(t, "carl", "")}).send(t, "GET", "https://"+orders+"/orders", ""); status != 200 {
		t.Errorf("a known key while its server is away: answered %d %s", status, answer)
	}
	unknown := bearertest.NewKey(t, "k3", jose.ES256)
	if status, answer := (caller{secure, unknown.Token(t, "ann", "")}).send(t, "GET", "https://"+orders+"/orders", ""); status != 503 {
		t.Errorf("an unknown key while its server is away: answered %d %s", status, answer)
	}
	if status, stdout, _ := run(t, settings, "orderflow", "healthcheck"); status != 0 || !strings.Contains(stdout, "degraded, key_source down") {
		t.Errorf("without the key server: exit status %d, %s", status, stdout)
	}

	if status, stdout, stderr := run(t, settings, "orderflow", "status"); status != 0 || !strings.Contains(stdout, "auth-jwks") || !strings.Contains(stdout, "https://"+strings.Replace(orders, "127.0.0.1", "localhost", 1)) {
		t.Errorf("status: exit status %d, %s%s", status, stdout, stderr)
	}
	if status, stdout, _ := run(t, settings, "orderflow", "check"); status != 1 || !strings.Contains(stdout, "orders.example.com, valid until") || !strings.Contains(stdout, "connection refused") {
		t.Errorf("check: exit status %d, %s", status, stdout)
	}
	if status, stdout, stderr := run(t, settings, "orderflow", "--print-config"); status != 0 || !strings.Contains(stdout, "auth-issuer") || !strings.Contains(stdout, pair.KeyFile) || strings.Contains(stdout, "PRIVATE") {
		t.Errorf("print-config: exit status %d, %s%s", status, stdout, stderr)
	}
	// A renewed certificate is shown without a restart.
	renewed := authority.Issue(t, time.Now().Add(60*24*time.Hour), "orders.example.com", "localhost")
	for from, to := range map[string]string{renewed.File: pair.File, renewed.KeyFile: pair.KeyFile} {
		text, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, func() error {
		conn, err := tls.Dial("tcp", admin, &tls.Config{RootCAs: authority.Pool(), ServerName: "localhost"})
		if err == nil {
			conn.Close()
		}
		return err
	})
	if err := healthy(); err != nil {
		t.Error(err)
	}
	for token, want := range map[string]string{"": "asks for a token: set ORDERFLOW_TOKEN to a valid one with the scope orders:read:all", "eyJx": "error=\"invalid_token\"", ann.token: "does not show the orders of all users", auditor.token: "audited in"} {
		_, _, stderr := run(t, append(settings, "SSL_CERT_FILE="+authority.File, "ORDERFLOW_TOKEN="+token), "orderflow", "audit", "--orders=https://"+strings.Replace(orders, "127.0.0.1", "localhost", 1))
		if !strings.Contains(stderr, want) || strings.Contains(stderr, "eyJ") {
			t.Errorf("audit with %.5q: %s", token, stderr)
		}
	}
	p.stopWell(t, syscall.SIGTERM)
}

// The start says once, at level warn, that anybody may read all orders, unless only this
// machine reaches the service or it asks for tokens.
func TestStartWarnsWithoutTokens(t *testing.T) {
	file := bearertest.File(t, bearertest.NewKey(t, "k1", jose.EdDSA))
	withKeys := []string{"--auth-jwks=" + file, "--auth-issuer=x", "--auth-audience=y"}
	for _, tt := range []struct {
		args []string
		want int
	}{
		{[]string{"--order-addr=:0", "--notification-addr=localhost:0"}, 1}, {[]string{"--order-addr=0.0.0.0:0", "--notification-addr=:0"}, 1},
		{[]string{"--order-addr=localhost:0", "--notification-addr=127.0.0.1:0"}, 0}, {append(withKeys, "--order-addr=:0", "--notification-addr=:0"), 0},
	} {
		p := start(t, "orderflow", append(tt.args, "--log-format=json")...)
		awaitLine(t, p, "Place an order")
		if n := strings.Count(p.out.String(), `"level":"WARN","msg":"everybody who reaches these addresses`); n != tt.want {
			t.Errorf("%v: warned %d times, want %d:\n%s", tt.args, n, tt.want, p.out.String())
		}
		p.stopWell(t, syscall.SIGTERM)
	}
}

// A start with a wrong file, or with half of the settings, ends with one line.
func TestStartRefusesWrongTokensAndTLS(t *testing.T) {
	file := bearertest.File(t, bearertest.NewKey(t, "k1", jose.EdDSA))
	for _, tt := range []struct {
		status int
		want   string
		args   []string
	}{
		{1, "--auth-jwks (AUTH_JWKS): \"nowhere\": stat nowhere: no such file", []string{"--auth-jwks=nowhere", "--auth-issuer=x", "--auth-audience=y"}},
		{2, "set --auth-audience", []string{"--auth-jwks=" + file, "--auth-issuer=x"}},
		{2, "an https URL, or a file", []string{"--auth-jwks=http://login.example.com/", "--auth-issuer=x", "--auth-audience=y"}},
		{1, "--tls-cert (TLS_CERT): \"nowhere\": open file", []string{"--tls-cert=nowhere", "--tls-key=nowhere"}},
		{2, "set --tls-key, too", []string{"--tls-cert=nowhere"}},
	} {
		status, _, stderr := run(t, []string{"ORDER_ADDR=localhost:0", "NOTIFICATION_ADDR=localhost:0", "ADMIN_ADDR=localhost:0"}, "orderflow", tt.args...)
		if status != tt.status || !strings.Contains(stderr, tt.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%v: exit status %d, %s", tt.args, status, stderr)
		}
	}
}
