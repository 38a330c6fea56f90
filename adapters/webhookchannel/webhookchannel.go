// Package webhookchannel sends notifications as webhooks by Standard Webhooks 1.0
// (https://www.standardwebhooks.com).
//
// # URL
//
// A notification's address is its receiver's URL, such as
// https://example.com/hooks?key=1: absolute, at most 2 KiB, by https, without user,
// password and fragment, and with any port. Paths and queries are treated as
// secrets: no error and no answer contains them.
//
// Only public addresses are dialled, whatever a name resolves to.
// [Options.AllowPrivate] allows all others, and http, too. The environment's proxy
// is not used, because it would dial any address.
//
// # Delivery semantics
//
// A notification is sent once its receiver has answered 2xx. The request is a POST
// with a body such as
//
//	{"type":"order.created","timestamp":"2026-11-20T08:00:00.000Z",
//	 "data":{"id":…,"user_id":…,"product":…,"quantity":…,"created_at":…}}
//
// on one line. A test also has "test":true before data. A notification without an event
// has the type orderflow.alert, and a subject and a text as its data. The header
// webhook-id is the same at each attempt, so the receiver can drop repeats. The header
// webhook-signature has one signature for each secret.
//
// Receivers that share a secret can forge each other's webhooks. A receiver that does not
// trust the others needs a channel with its own secrets.
//
// # Failure
//
// Send marks its errors:
//
//   - by [ports.Postpone] if the receiver does not work at the moment: faults of the
//     network, DNS and TLS, no answer within 15 s, and the codes 408, 429, 502 to 504 and
//     521 to 524 (a proxy can't reach its receiver)
//   - by [ports.Gone] for the code 410
//   - by [ports.Permanent] for a wrong address, and for one that resolves to forbidden
//     addresses only
//
// All other codes, redirects too, are refusals without a mark, because receivers often
// mend what they answer wrongly. Send passes on a Retry-After of up to a day.
package webhookchannel

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"example.com/orderflow/ports"
)

const (
	sendTimeout = 15 * time.Second // of one attempt
	bodyTimeout = 3 * time.Second  // of reading the answer's body, which no decision needs
)

// Options are a channel's settings.
type Options struct {
	Name string // empty: "webhook"

	// Secrets sign every webhook, in this order. Each is whsec_ and the base64 of 24
	// to 64 bytes. To replace a secret, add the new one first, change the
	// receivers, and remove the old one.
	Secrets []string

	AllowPrivate bool           // send to private, loopback and other addresses that are not public, and by http
	RootCAs      *x509.CertPool // that sign receivers' certificates; nil: the system's
}

// Channel sends webhooks.
type Channel struct {
	name         string
	secrets      []string // with and without their prefix
	signers      []signer
	allowPrivate bool
	transport    *http.Transport
	dialer       net.Dialer
	isPublic     isPublic
}

var _ ports.AddressedChannel = (*Channel)(nil)

// New returns a channel. An error is returned when there is no secret, or a secret is
// malformed. It does not contain the secret.
func New(options Options) (*Channel, error) {
	signers, err := newSigners(options.Secrets)
	if err != nil {
		return nil, fmt.Errorf("webhook channel: %w", err)
	}
	c := &Channel{
		name: options.Name, signers: signers, allowPrivate: options.AllowPrivate,
		dialer: newDialer(), isPublic: isPublicAddress,
	}
	if c.name == "" {
		c.name = "webhook"
	}
	for _, secret := range options.Secrets {
		c.secrets = append(c.secrets, secret, strings.TrimPrefix(secret, secretPrefix))
	}
	c.transport = newTransport(c.dial, options.RootCAs)
	return c, nil
}

// Name returns the channel's name.
func (c *Channel) Name() string { return c.name }

// Body returns the body of the notification's webhook, which is the same at each
// attempt.
func (c *Channel) Body(message ports.Outgoing) ([]byte, error) { return encode(message) }

// Close closes the connections that no webhook uses. Call it after the last Send.
func (c *Channel) Close() error {
	c.transport.CloseIdleConnections()
	return nil
}

// Send sends the notification to its address.
func (c *Channel) Send(ctx context.Context, message ports.Outgoing) (ports.Answer, error) {
	if err := ctx.Err(); err != nil {
		return ports.Answer{}, ports.Postpone(fmt.Errorf("send webhook: %w", err))
	}
	to, err := c.parse(message.Address)
	if err != nil {
		return ports.Answer{}, ports.Permanent(fmt.Errorf("send webhook: its address %w", err))
	}
	answer, err := c.post(ctx, to, message)
	if err != nil {
		err = fmt.Errorf("%w (webhook to %s)", err, to.host()) // lists show the beginning
	}
	return answer, err
}

func (c *Channel) post(ctx context.Context, to address, message ports.Outgoing) (ports.Answer, error) {
	limited, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	request, err := c.request(limited, to, message)
	if err != nil {
		return ports.Answer{}, ports.Permanent(err)
	}
	// The transport alone follows no redirect and keeps no cookie.
	response, err := c.transport.RoundTrip(request)
	if err != nil {
		return ports.Answer{}, c.failure(ctx, limited, to, err)
	}
	stop := time.AfterFunc(bodyTimeout, cancel)
	defer stop.Stop()
	answer := ports.Answer{Code: strconv.Itoa(response.StatusCode), Text: to.redact(readText(response))}
	return answer, sendError(response, answer.Text)
}

func (c *Channel) request(ctx context.Context, to address, message ports.Outgoing) (*http.Request, error) {
	body, err := encode(message)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.url.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", to.redactError(err))
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "orderflow")
	// Lets the transport repeat the request if the receiver has closed an idle
	// connection meanwhile. The header itself is not sent.
	request.Header["Idempotency-Key"] = []string{}
	return request, sign(request.Header, c.signers, message.ID, time.Now(), body)
}
