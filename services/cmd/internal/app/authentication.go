package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/cmd/internal/bearer"
	"example.com/orderflow/services/internal/httpapi"
	"example.com/orderflow/services/notification"
	"example.com/orderflow/services/order"
)

// Authentication has the settings of the tokens that users send to the public addresses.
type Authentication struct {
	AuthJWKS     string `name:"auth-jwks" env:"AUTH_JWKS" placeholder:"FILE|URL" help:"Keys (JWKS) that sign users' tokens, a file or an https URL; then the public addresses answer requests with a valid token only. Empty: they ask for no token."`
	AuthIssuer   string `env:"AUTH_ISSUER" placeholder:"TEXT" help:"Issuer (iss) that a token must have."`
	AuthAudience string `env:"AUTH_AUDIENCE" placeholder:"TEXT" help:"Audience (aud) that a token must have."`
}

// Validate refuses wrong settings; its error names the flag.
func (a *Authentication) Validate() error {
	switch {
	case a.AuthJWKS == "" && a.AuthIssuer != "":
		return errors.New("--auth-issuer: there are no keys to check tokens with; set --auth-jwks, too")
	case a.AuthJWKS == "" && a.AuthAudience != "":
		return errors.New("--auth-audience: there are no keys to check tokens with; set --auth-jwks, too")
	case a.AuthJWKS == "":
		return nil
	case a.AuthIssuer == "":
		return errors.New("--auth-jwks: tokens of any issuer would be valid; set --auth-issuer to the iss that tokens have")
	case a.AuthAudience == "":
		return errors.New("--auth-jwks: tokens for other services would be valid; set --auth-audience to the aud that tokens have")
	}
	if err := bearer.CheckPlace(a.AuthJWKS); err != nil {
		return fmt.Errorf("--auth-jwks: %w", err)
	}
	return nil
}

// Tokens checks users' tokens. A nil Tokens asks nobody for one.
type Tokens struct {
	keys     *bearer.Keys
	verifier *bearer.Verifier
}

// OpenTokens returns what checks users' tokens, or nil without keys. A file of keys that can't
// be used is an error; a URL is asked later.
func (a *Authentication) OpenTokens(ctx context.Context, log *slog.Logger) (*Tokens, error) {
	if a.AuthJWKS == "" {
		return nil, nil
	}
	keys, err := bearer.OpenKeys(ctx, a.AuthJWKS, log)
	if err != nil {
		return nil, fmt.Errorf("--auth-jwks: %q: %w; name a readable file with the public keys, or their https URL", shownSetting("auth-jwks", a.AuthJWKS), err)
	}
	return &Tokens{keys, bearer.NewVerifier(keys, a.AuthIssuer, a.AuthAudience)}, nil
}

// GuardOrders makes the handler ask for tokens.
func (t *Tokens) GuardOrders(h *order.Handler) {
	if t == nil {
		return
	}
	t.watch(&h.API)
	h.Authenticate = func(r *http.Request) (order.Caller, error) {
		token, err := t.verifier.Authenticate(r)
		return order.Caller{User: token.Subject, ReadAll: token.Has(order.ScopeReadAll), WriteAll: token.Has(order.ScopeWriteAll)}, err
	}
}

// GuardNotifications makes the handler ask for tokens. Who may read all orders may also read
// what became of them.
func (t *Tokens) GuardNotifications(h *notification.Handler) {
	if t == nil {
		return
	}
	t.watch(&h.API)
	h.Authenticate = func(r *http.Request) (notification.Caller, error) {
		token, err := t.verifier.Authenticate(r)
		return notification.Caller{User: token.Subject, ReadAll: token.Has(notification.ScopeReadAll, order.ScopeReadAll)}, err
	}
}

// watch makes /readyz report the keys. A service without any is unready: it refuses all.
func (t *Tokens) watch(api *httpapi.API) {
	api.Watch(httpapi.Check{Name: "keys", Pinger: pingFunc(t.keys.Known)})
	api.Watch(httpapi.Check{Name: "key_source", Pinger: pingFunc(t.keys.Current), Optional: true, Degrades: true})
}

type pingFunc func(context.Context) error

// Ping calls the function.
func (f pingFunc) Ping(ctx context.Context) error { return f(ctx) }

// Keys returns the component that keeps the keys up to date. List it before the servers.
func (t *Tokens) Keys() Component {
	return Component{Name: "keys", Run: func(ctx context.Context) error {
		if t == nil {
			<-ctx.Done()
			return nil
		}
		return t.keys.Run(ctx)
	}}
}

// CheckTokens returns what there is to say about the keys of tokens.
func (a *Authentication) CheckTokens(ctx context.Context) []ports.Finding {
	if a.AuthJWKS == "" {
		return nil
	}
	f := ports.Finding{What: "keys"}
	found, err := bearer.Examine(ctx, a.AuthJWKS)
	if err != nil {
		f.Value, f.Fault, f.WayOut = shownSetting("auth-jwks", a.AuthJWKS), err.Error(), "correct --auth-jwks, or the file or server that it names"
		return []ports.Finding{f}
	}
	f.Value = found
	return []ports.Finding{f, {What: "issuer", Value: a.AuthIssuer}, {What: "audience", Value: a.AuthAudience}}
}
