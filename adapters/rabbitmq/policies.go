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

	"example.com/orderflow/ports"
)

// The bounds of asking the management API.
const (
	managementTimeout = 5 * time.Second  // for one answer
	policyTimeout     = 30 * time.Second // for all: before 4.0 the broker takes seconds to know a queue's policy
	policyPause       = 500 * time.Millisecond
	maxAnswer         = 1 << 20
	maxNames          = 16 // of faults, and of queues, in an error
)

// PolicyError is returned when policies are in force that have the topology's
// queues lose messages. No argument of a queue overrules them.
type PolicyError struct {
	Faults []PolicyFault
	wayOut string
}

// PolicyFault is what one key of a policy does.
type PolicyFault struct {
	Policy string // which, in words; there may be an operator policy beside
	Key    string
	Effect string
	Queues []string
}

func (f PolicyFault) String() string {
	names := strings.Join(f.Queues[:min(len(f.Queues), maxNames)], ", ")
	if more := len(f.Queues) - maxNames; more > 0 {
		names += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Sprintf("%s has %s, which %s, on %s", f.Policy, f.Key, f.Effect, names)
}

func (e *PolicyError) Error() string {
	var text strings.Builder
	for i, f := range e.Faults {
		if i == maxNames {
			fmt.Fprintf(&text, "and %d more; ", len(e.Faults)-i)
			break
		}
		text.WriteString(f.String() + "; ")
	}
	return text.String() + e.wayOut
}

// add adds a fault, to one of its kind if there is one.
func (e *PolicyError) add(f PolicyFault) {
	for i, other := range e.Faults {
		if other.Policy == f.Policy && other.Key == f.Key && other.Effect == f.Effect {
			e.Faults[i].Queues = append(other.Queues, f.Queues...)
			return
		}
	}
	e.Faults = append(e.Faults, f)
}

// CheckPolicies asks the management API whether policies have the queues of the
// topology lose messages, in the virtual host of the broker's URL. It returns a
// [*PolicyError] if they do, [ports.ErrRefused] if the API refuses the login,
// and [ports.ErrUnavailable] if it can't tell. Queues that are not there yet
// are passed over.
//
// The management URL is like http://user:password@localhost:15672; without a
// user it is the broker URL's, who needs the tag management.
func CheckPolicies(ctx context.Context, managementURL, brokerURL string, topology Topology) error {
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
	if err := topology.check(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, policyTimeout,
		fmt.Errorf("%w: the management API did not say within %v which policy it has", ports.ErrUnavailable, policyTimeout))
	defer cancel()
	found := &PolicyError{wayOut: fmt.Sprintf("give the queues a policy of their own, by \"rabbitmqctl set_policy -p %s --priority 1000 "+
		"--apply-to queues orderflow %s '{\"overflow\":\"reject-publish\"}'\"; an operator policy has to be changed or cleared",
		shellQuote(broker.Vhost), shellQuote("^"+regexp.QuoteMeta(topology.Queue)+`(\.|$)`))}
	for _, q := range topology.queues() {
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

// management is the management API's part for one virtual host.
type management struct {
	queues         *url.URL
	user, password string
	client         http.Client
}

// CheckManagementURL returns an error, without the URL, if [CheckPolicies] can't
// use it.
func CheckManagementURL(address string) error {
	_, err := parseManagementURL(address)
	return err
}

func parseManagementURL(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" ||
		strings.Contains(address, "@") != (u.User != nil) || strings.Count(address, "@") > 1 {
		return nil, errors.New("read URL of the broker's management: it must be like http://user:password@host:15672, or https:, " +
			"with every reserved character in user and password percent-encoded")
	}
	return u, nil
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

// queuePolicy is what the API says of a queue; effective is nil if it does not
// know yet.
type queuePolicy struct {
	Policy    string          `json:"policy"`
	Operator  string          `json:"operator_policy"`
	Effective *map[string]any `json:"effective_policy_definition"`
}

// policy returns the policy that is in force on a queue, as soon as the API
// knows it.
func (m *management) policy(ctx context.Context, queue string) (queuePolicy, error) {
	for {
		for _, query := range []string{"disable_stats=true", ""} { // before 4.0 only the latter has it, and late
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
		return p, false, fmt.Errorf("%w: %w: the management API at %s answers %s to user %q: check user and password, and give the user the tag management "+
			"by \"rabbitmqctl set_user_tags\" and permissions on the virtual host", ports.ErrUnavailable, ports.ErrRefused, u.Host, res.Status, m.user)
	default:
		return p, false, fmt.Errorf("%w: the management API at %s answers %s", ports.ErrUnavailable, u.Host, res.Status)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&p); err != nil {
		return p, false, fmt.Errorf("%w: read the answer of the management API at %s: %w", ports.ErrUnavailable, u.Host, err)
	}
	return p, true, nil
}

// faults returns what the policy has the queue lose. Arguments overrule its
// dead-lettering, and a length alone has our queues refuse messages, which
// loses none; all but the unreadable, which has no bound of its own.
func (p queuePolicy) faults(q queue) []PolicyFault {
	if p.Effective == nil {
		return nil
	}
	var faults []PolicyFault
	add := func(key, effect string) {
		faults = append(faults, PolicyFault{Policy: p.names(), Key: key, Effect: effect, Queues: []string{q.name}})
	}
	number := func(key string) (float64, bool) {
		n, ok := (*p.Effective)[key].(float64)
		return n, ok
	}
	own := func(key string) (float64, bool) {
		switch n := q.args[key].(type) {
		case int:
			return float64(n), true
		case int64:
			return float64(n), true
		}
		return 0, false
	}
	if ttl, set := number("message-ttl"); set {
		if delay, waits := own(amqp.QueueMessageTTLArg); !waits || ttl < delay {
			add("message-ttl", "empties a queue of what has waited so long")
		}
	}
	if _, set := number("expires"); set {
		add("expires", "deletes a queue that nobody consumes from, with its messages")
	}
	overflow, set := (*p.Effective)["overflow"].(string)
	drops := set && overflow != amqp.QueueOverflowRejectPublish
	_, refuses := q.args[amqp.QueueOverflowArg]
	if refuses && drops {
		add("overflow", "drops messages: those beyond a length, and dead letters that can't be kept at once")
	}
	for _, key := range []string{"max-length", "max-length-bytes"} {
		if _, set := number(key); set && (drops || !refuses && overflow == "") {
			add(key, "drops messages beyond that length")
		}
	}
	if limit, set := number("delivery-limit"); set {
		if ours, _ := own("x-delivery-limit"); limit < ours {
			add("delivery-limit", "sets messages aside, or drops them, that were in hand so often when a connection was lost")
		}
	}
	return faults
}

func (p queuePolicy) names() string {
	names := slices.DeleteFunc([]string{p.Policy, p.Operator}, func(name string) bool { return name == "" })
	switch {
	case len(names) == 2:
		return fmt.Sprintf("policy %q with operator policy %q", p.Policy, p.Operator)
	case p.Operator != "":
		return fmt.Sprintf("operator policy %q", p.Operator)
	default:
		return fmt.Sprintf("policy %q", p.Policy)
	}
}
