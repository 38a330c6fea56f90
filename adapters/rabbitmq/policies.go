package rabbitmq

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/adapters/internal/refused"
	"example.com/orderflow/ports"
)

// The bounds of asking the management API.
const (
	managementTimeout = 5 * time.Second  // for one answer
	policyTimeout     = 30 * time.Second // for all answers; before RabbitMQ 4.0, the API knows a queue's policy only after seconds
	policyPause       = 500 * time.Millisecond
	maxAnswer         = 1 << 20 // bytes
	maxNames          = 16      // faults, and queues of a fault, in an error's text
)

// PolicyError is returned when policies make the topology's queues lose messages.
// No argument of a queue overrules such a policy.
type PolicyError struct {
	Faults []PolicyFault
	wayOut string
}

// PolicyFault is the effect of one key of a policy.
type PolicyFault struct {
	Policy string // the name of the policy, of the operator policy, or both
	Key    string
	Effect string
	Queues []string
}

func (f PolicyFault) String() string {
	return fmt.Sprintf("%s has %s, which %s, on %s", f.Policy, f.Key, f.Effect, shortList(f.Queues, ", ", " and "))
}

func (e *PolicyError) Error() string {
	faults := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		faults[i] = f.String()
	}
	return shortList(faults, "; ", "; and ") + "; " + e.wayOut
}

// shortList joins at most maxNames texts, and counts the others.
func shortList(texts []string, separator, last string) string {
	list := strings.Join(texts[:min(len(texts), maxNames)], separator)
	if more := len(texts) - maxNames; more > 0 {
		list += fmt.Sprintf("%s%d more", last, more)
	}
	return list
}

// add adds a fault of one queue. It joins faults that differ only in their queues.
func (e *PolicyError) add(f PolicyFault) {
	for i, other := range e.Faults {
		if other.Policy == f.Policy && other.Key == f.Key && other.Effect == f.Effect {
			e.Faults[i].Queues = append(other.Queues, f.Queues...)
			return
		}
	}
	e.Faults = append(e.Faults, f)
}

// CheckPolicies asks the management API whether policies make queues of the topology
// or of the subscriptions lose messages, in the virtual host of the broker's URL. It
// ignores queues that do not exist yet.
//
// A [*PolicyError] is returned when a policy does so. [ports.ErrRefused] is returned
// when the API refuses the login, and [ports.ErrUnavailable] when the API does not
// answer within 30 s.
//
// The management URL is like http://user:password@localhost:15672. The default
// user is the broker URL's. The user needs the tag management.
func CheckPolicies(ctx context.Context, managementURL, brokerURL string, topology Topology, subscriptions ...string) error {
	if err := checkURL(brokerURL); err != nil {
		return err
	}
	broker, err := amqp.ParseURI(brokerURL)
	if err != nil {
		return errURL
	}
	m, err := newManagement(managementURL, broker)
	if err != nil {
		return err
	}
	topology = topology.withDefaults()
	queues := topology.queues()
	for _, name := range slices.Concat([]string{""}, subscriptions) {
		t := topology.of(name)
		if err := t.check(); err != nil {
			return err
		}
		if name != "" {
			queues = append(queues, t.eventQueues()...)
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, policyTimeout,
		fmt.Errorf("%w: the management API did not report the queues' policies within %v", ports.ErrUnavailable, policyTimeout))
	defer cancel()
	found := &PolicyError{wayOut: fmt.Sprintf("give the queues a policy of their own, with \"rabbitmqctl set_policy -p %s --priority 1000 "+
		"--apply-to queues orderflow %s '{\"overflow\":\"reject-publish\"}'\"; change or clear an operator policy",
		shellQuote(broker.Vhost), shellQuote("^"+regexp.QuoteMeta(topology.Queue)+`(\.|$)`))}
	for _, q := range queues {
		p, err := m.policy(ctx, q.name)
		if err != nil {
			return fmt.Errorf("look for policies on queue %q: %w", q.name, err)
		}
		for _, f := range p.faults(q) {
			found.add(f)
		}
	}
	if len(found.Faults) > 0 {
		return found
	}
	return nil
}

// CheckManagementURL returns an error, without the URL, if [CheckPolicies] can't
// use it.
func CheckManagementURL(address string) error {
	_, err := parseManagementURL(address)
	return err
}

func parseManagementURL(address string) (*url.URL, error) {
	u, ok := parseURL(address, "http", "https")
	if !ok || u.Hostname() == "" || u.RawQuery != "" {
		return nil, errors.New("read URL of the broker's management: it must be like http://user:password@host:15672, or https:, " +
			"with every reserved character in user and password percent-encoded")
	}
	return u, nil
}

// management asks the management API about one virtual host.
type management struct {
	queues         *url.URL
	user, password string
	client         http.Client
}

func newManagement(address string, broker amqp.URI) (*management, error) {
	u, err := parseManagementURL(address)
	if err != nil {
		return nil, err
	}
	m := &management{
		user: broker.Username, password: broker.Password,
		client: http.Client{
			Timeout:       managementTimeout,
			Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, TLSHandshakeTimeout: managementTimeout},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	if u.User != nil {
		m.user = u.User.Username()
		m.password, _ = u.User.Password()
		u.User = nil // errors show the URL
	}
	m.queues = u.JoinPath("api", "queues", url.PathEscape(broker.Vhost))
	return m, nil
}

// queuePolicy is the API's answer about a queue. Effective is nil while the API does
// not know the effective policy.
type queuePolicy struct {
	Policy    string          `json:"policy"`
	Operator  string          `json:"operator_policy"`
	Effective *map[string]any `json:"effective_policy_definition"`
}

// policy returns the queue's policy as soon as the API knows it.
func (m *management) policy(ctx context.Context, queue string) (queuePolicy, error) {
	for {
		for _, query := range []string{"disable_stats=true", ""} { // before RabbitMQ 4.0, only the second works, after a while
			p, there, err := m.ask(ctx, queue, query)
			switch {
			case err != nil:
				return p, cmp.Or(context.Cause(ctx), err)
			case !there || p.Effective != nil:
				return p, nil
			}
		}
		select {
		case <-time.After(policyPause):
		case <-ctx.Done():
			return queuePolicy{}, context.Cause(ctx)
		}
	}
}

func (m *management) ask(ctx context.Context, queue, query string) (p queuePolicy, there bool, err error) {
	u := m.queues.JoinPath(url.PathEscape(queue))
	u.RawQuery = query
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return p, false, err
	}
	req.SetBasicAuth(m.user, m.password)
	res, err := m.client.Do(req)
	if err != nil {
		return p, false, fmt.Errorf("%w: %w", ports.ErrUnavailable, err)
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return p, false, nil
	case http.StatusUnauthorized, http.StatusForbidden:
		return p, false, refused.Error(fmt.Errorf("the management API at %s answers %s to user %q: check user and password, and give the user the tag management "+
			"with \"rabbitmqctl set_user_tags\" and permissions on the virtual host", u.Host, res.Status, m.user))
	default:
		return p, false, fmt.Errorf("%w: the management API at %s answers %s", ports.ErrUnavailable, u.Host, res.Status)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&p); err != nil {
		return p, false, fmt.Errorf("%w: read the answer of the management API at %s: %w", ports.ErrUnavailable, u.Host, err)
	}
	return p, true, nil
}

// faults returns how the policy makes the queue lose messages. The queues'
// arguments overrule a policy's dead-lettering. A maximum length alone makes queues
// with an overflow argument refuse messages, which loses none. The queue for
// unreadable messages has no such argument.
func (p queuePolicy) faults(q queue) (faults []PolicyFault) {
	if p.Effective == nil {
		return nil
	}
	add := func(key, effect string) {
		faults = append(faults, PolicyFault{Policy: p.names(), Key: key, Effect: effect, Queues: []string{q.name}})
	}
	number := func(key string) (float64, bool) {
		n, ok := (*p.Effective)[key].(float64)
		return n, ok
	}
	if ttl, set := number("message-ttl"); set {
		if delay, waits := q.args[amqp.QueueMessageTTLArg].(int64); !waits || ttl < float64(delay) {
			add("message-ttl", "deletes messages after that time")
		}
	}
	if _, set := number("expires"); set {
		add("expires", "deletes a queue without consumers, with its messages")
	}
	overflow, set := (*p.Effective)["overflow"].(string)
	drops := set && overflow != amqp.QueueOverflowRejectPublish
	_, refuses := q.args[amqp.QueueOverflowArg]
	if refuses && drops {
		add("overflow", "drops messages beyond a maximum length, and dead letters that the next queue does not confirm")
	}
	for _, key := range []string{"max-length", "max-length-bytes"} {
		if _, set := number(key); set && (drops || !refuses && overflow == "") {
			add(key, "drops messages beyond that length")
		}
	}
	if limit, set := number("delivery-limit"); set && limit < float64(q.args["x-delivery-limit"].(int)) {
		add("delivery-limit", "dead-letters or drops messages after that many lost connections of consumers")
	}
	return faults
}

func (p queuePolicy) names() string {
	names := fmt.Sprintf("policy %q", p.Policy)
	switch {
	case p.Operator != "" && p.Policy != "":
		return fmt.Sprintf("%s with operator policy %q", names, p.Operator)
	case p.Operator != "":
		return fmt.Sprintf("operator policy %q", p.Operator)
	}
	return names
}
