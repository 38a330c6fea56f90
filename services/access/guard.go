package access

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/otel/metric"

	"example.com/orderflow/services/internal/httpapi"
	"example.com/orderflow/services/internal/mask"
	"example.com/orderflow/services/internal/statelog"
	"example.com/orderflow/services/internal/telemetry"
	"example.com/orderflow/services/internal/wiring"
)

// Wrong tokens that an address may send in a minute. Tokens have 256 random bits, so this
// bounds what guessing costs the service, not what it could find.
const maxWrong = 20

// Guard finds out who sends a request, and refuses what the caller may not do: GET and HEAD
// are for everybody who is known, other methods and Profiles are for operators. A Guard
// without tokens and without a proxy asks nobody.
type Guard struct {
	// IsPublic reports whether everybody may read the path. Set it before first use; nil:
	// nothing is public.
	IsPublic func(path string) bool

	// MeterProvider is for the metrics; nil: OpenTelemetry's global one.
	MeterProvider metric.MeterProvider

	tokens   *TokensFile
	proxy    Proxy
	sessions sessions
	wrong    *httpapi.Limiter
	refusals httpapi.Refusals
	ignored  statelog.Minutely
	metrics  telemetry.Lazy
	log      *slog.Logger
}

// Profiles is the path of the process's profiles. They may show what is in its memory.
const Profiles = "/debug/pprof/"

// SessionPath is the path of [Guard.Routes].
const SessionPath = "/session"

// NewGuard returns a guard. Nil tokens, and a proxy without a header, let nobody in.
func NewGuard(tokens *TokensFile, proxy Proxy, log *slog.Logger) *Guard {
	return &Guard{tokens: tokens, proxy: proxy, wrong: httpapi.NewLimiter(maxWrong, time.Minute), log: wiring.Logger(log)}
}

// Asks reports whether the guard asks who a caller is.
func (g *Guard) Asks() bool { return g.tokens != nil || g.proxy.Header != "" }

// Handler returns the handler behind the guard. It must be inside [httpapi.ForOperators].
func (g *Guard) Handler(next http.Handler) http.Handler {
	for _, reason := range []string{noToken, wrongToken, slowedDown, wrongRole} {
		g.metrics.Get(nil, g.MeterProvider).Refused(context.Background(), reason, 0) // from now on an increase is seen
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, err := g.callerOf(r)
		if err == nil {
			r = r.WithContext(withCaller(r.Context(), caller))
			err = g.allow(caller, r)
		}
		isPublic := r.URL.Path == SessionPath || isReading(r) && g.IsPublic != nil && g.IsPublic(r.URL.Path)
		switch {
		case err == nil || isPublic:
			next.ServeHTTP(w, r)
		case errors.Is(err, errRole):
			g.log.InfoContext(r.Context(), "request refused: only an operator may send it", "caller", caller.Name, "by", caller.By, "method", r.Method, "path", mask.Text(r.URL.Path))
			g.refuse(w, r, err)
		default:
			g.refuse(w, r, err)
		}
	})
}

func isReading(r *http.Request) bool {
	return r.Method == http.MethodGet || r.Method == http.MethodHead
}

var errRole = &httpapi.Problem{Status: http.StatusForbidden, Code: "forbidden", Detail: "a viewer may look only; this needs the role operator"}

// allow returns an error unless the caller may send the request.
func (g *Guard) allow(c Caller, r *http.Request) error {
	if c.Role == Operator || isReading(r) && !strings.HasPrefix(r.URL.Path, Profiles) {
		return nil
	}
	return errRole
}

// callerOf returns who sends the request. The error is an [*httpapi.Unauthenticated].
func (g *Guard) callerOf(r *http.Request) (Caller, error) {
	if !g.Asks() {
		return Caller{Role: Operator, By: Open}, nil
	}
	c, ok := g.proxy.caller(r)
	switch {
	case ok:
		return c, nil
	case g.proxy.isIgnored(r):
		g.ignored.Note(func(count int) {
			g.log.WarnContext(r.Context(), "requests have the trusted header, but do not come from the proxy's addresses; it was ignored", "since_last_line", count, "last_client", r.RemoteAddr)
		})
	}
	if len(r.Header.Values("Authorization")) > 0 {
		secret, _ := httpapi.BearerToken(r.Header) // none is as wrong as another's
		t, err := g.check(secret)
		return Caller{t.Name, t.Role, ByToken}, err
	}
	c, _, err := g.callerOfSession(r)
	return c, err
}

var errWrong = &httpapi.Unauthenticated{Reason: "the token is not one of this service's, or is not valid any more"}

// check returns the token of that secret.
func (g *Guard) check(secret string) (Token, error) {
	if t, ok := g.tokens.find(sha256.Sum256([]byte(secret))); ok && strings.HasPrefix(secret, tokenPrefix) {
		return t, nil
	}
	return Token{}, errWrong
}

// Why requests are refused, in the metrics.
const (
	noToken    = "no_token"
	wrongToken = "wrong_token"
	slowedDown = "slowed_down"
	wrongRole  = "role"
)

// refuse answers a request that is not allowed: the error is an [*httpapi.Unauthenticated],
// or errRole.
func (g *Guard) refuse(w http.ResponseWriter, r *http.Request, err error) {
	reason := noToken
	var p *httpapi.Problem
	switch {
	case errors.As(err, &p):
		reason = wrongRole
	case errors.Is(err, errWrong):
		reason = wrongToken
		if allowed, wait := g.wrong.Take(r); !allowed {
			reason = slowedDown
			err = &httpapi.Problem{
				Status: http.StatusTooManyRequests, Code: "wrong_tokens", RetryAfter: wait, Counted: true,
				Detail: fmt.Sprintf("more than %d wrong tokens in a minute came from this address", maxWrong),
			}
		}
	}
	g.metrics.Get(nil, g.MeterProvider).Refused(r.Context(), reason, 1)
	if !errors.As(err, &p) {
		err = g.refusals.Unauthenticated(w, r, err, g.log)
	}
	if errors.As(err, &p) {
		p.Write(w, r)
	}
}
