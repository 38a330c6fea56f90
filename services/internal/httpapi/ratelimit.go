package httpapi

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"example.com/orderflow/services/internal/statelog"
)

// maxClients bounds the clients of one generation of a Limiter: about 4 MB in both.
const maxClients = 16 << 10

// Limiter limits the requests of each client to a number in a period. A client that was
// quiet for a period may send the whole number at once; after that, requests become
// free one by one.
//
// It forgets a client that was quiet for one to two periods. That changes nothing. While
// more than maxClients come in a period, it may forget clients earlier, and they may
// send the whole number again: its memory is bounded.
type Limiter struct {
	requests int
	period   time.Duration
	policy   string
	secret   [sha256.Size]byte
	refused  statelog.Minutely

	mu               sync.Mutex
	current, earlier map[client]*rate.Limiter
	since            time.Time // when current began
}

// client identifies a client: its address, or a hash of its name.
type client struct {
	named bool
	id    [16]byte
}

// NewLimiter returns a limiter to this number of requests in a period, both 1 or more.
func NewLimiter(requests int, period time.Duration) *Limiter {
	l := &Limiter{
		requests: requests, period: period,
		policy: fmt.Sprintf(`"default";q=%d;w=%d`, requests, seconds(period)),
	}
	_, _ = rand.Read(l.secret[:]) // never fails
	return l
}

// Limit calls handle, or returns a problem, 429, if the client has no request left. The
// name, such as a user, tells clients apart; if it is empty, their address does. Each answer
// has the fields RateLimit-Policy and RateLimit of draft-ietf-httpapi-ratelimit-headers-10.
func (l *Limiter) Limit(w http.ResponseWriter, r *http.Request, name string, log *slog.Logger, handle HandlerFunc) error {
	allowed, left, wait, full := l.take(l.clientOf(r, name), time.Now())
	w.Header().Set("RateLimit-Policy", l.policy)
	w.Header().Set("RateLimit", fmt.Sprintf(`"default";r=%d;t=%d`, left, seconds(full)))
	if allowed {
		return handle(w, r)
	}
	l.refused.Note(func(count int) {
		log.WarnContext(r.Context(), "clients exceed the rate limit", "since_last_line", count, "last_client", r.RemoteAddr)
	})
	return &Problem{
		Status: http.StatusTooManyRequests, Code: "rate_limited", RetryAfter: wait, Counted: true,
		Detail: fmt.Sprintf("more than %d requests in %v; this request was not carried out", l.requests, l.period),
	}
}

// Take takes a request of the address that r comes from. If none is left, it returns how long
// until one is.
func (l *Limiter) Take(r *http.Request) (allowed bool, wait time.Duration) {
	allowed, _, wait, _ = l.take(l.clientOf(r, ""), time.Now())
	return allowed, wait
}

// take takes a request of the client, if one is left. It returns how many are left then,
// how long until the next one is, and how long until all are.
func (l *Limiter) take(c client, now time.Time) (allowed bool, left int, wait, full time.Duration) {
	bucket := l.bucket(c, now)
	allowed = bucket.AllowN(now, 1)
	tokens := max(bucket.TokensAt(now), 0)
	until := func(n float64) time.Duration {
		return time.Duration(math.Ceil(max(n-tokens, 0) * float64(l.period) / float64(l.requests)))
	}
	return allowed, int(tokens), until(1), until(float64(l.requests))
}

// bucket returns the client's bucket. A generation of clients lasts a period, or until it
// is full. A client that is in none of the last two was quiet for a period, so a new
// bucket is the same as its old one.
func (l *Limiter) bucket(c client, now time.Time) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	bucket, ok := l.current[c]
	if ok && now.Sub(l.since) < l.period {
		return bucket
	}
	if now.Sub(l.since) >= l.period || len(l.current) >= maxClients {
		if now.Sub(l.since) >= 2*l.period {
			l.current = nil
		}
		l.earlier, l.current, l.since = l.current, make(map[client]*rate.Limiter), now
	}
	if bucket, ok = l.earlier[c]; !ok {
		bucket = rate.NewLimiter(rate.Limit(float64(l.requests)/l.period.Seconds()), l.requests)
	}
	l.current[c] = bucket
	return bucket
}

// clientOf returns who sends the request. The address is that of the connection: any
// client can write X-Forwarded-For. An IPv6 network of 64 bits is one client, because
// anyone who has an address there usually has all of them.
func (l *Limiter) clientOf(r *http.Request, name string) client {
	if name != "" {
		sum := sha256.Sum256(append(l.secret[:], name...))
		return client{true, [16]byte(sum[:])}
	}
	address, _ := netip.ParseAddrPort(r.RemoteAddr) // all of another form are one client
	ip := address.Addr().Unmap()
	if ip.Is6() {
		network, _ := ip.Prefix(64)
		ip = network.Addr()
	}
	return client{false, ip.As16()}
}

// seconds returns the duration in seconds, rounded up.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
