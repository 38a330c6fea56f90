package rabbitmq

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/adapters/internal/tlscheck"
	"example.com/orderflow/ports"
)

// CheckOptions say what the checked process would do at the broker.
type CheckOptions struct {
	Topology      Topology
	Publishes     bool     // events, as [Broker.Publisher] does
	Subscriptions []string // that it consumes from; "" is the main queue's
	ManagementURL string   // of [CheckPolicies]; empty: policies are not checked
}

const (
	checkTimeout = time.Minute

	oldestVersion = "3.10"
)

// Check reports whether a broker at the URL would work: its certificates and version, the
// properties of queues and exchanges that exist, the user's rights, policies, and the way
// of a message there and back through a queue that exists for it alone. It declares
// nothing that stays.
func Check(ctx context.Context, url string, o CheckOptions) []ports.Finding {
	c := &check{options: o}
	o.Topology = o.Topology.withDefaults()
	c.topologies = []Topology{o.Topology}
	for _, name := range o.Subscriptions {
		if name != "" {
			c.topologies = append(c.topologies, o.Topology.of(name))
		}
	}
	err := checkURL(url)
	for _, t := range c.topologies {
		if err == nil {
			err = t.check()
		}
	}
	if err != nil {
		c.add("URL", "", err.Error(), "correct the URL")
		return c.found
	}
	ctx, cancel := context.WithTimeoutCause(ctx, checkTimeout, fmt.Errorf("the check has taken %v", checkTimeout))
	defer cancel()
	b, err := Open(url, Options{Topology: o.Topology, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		c.add("URL", "", err.Error(), "correct the URL")
		return c.found
	}
	c.endpoint = b.endpoint("orderflow check", "", nil)
	c.declaresNothing = true
	if c.certificates(ctx) && c.server(ctx) {
		defer context.AfterFunc(ctx, func() { c.session.end(context.Cause(ctx)) })()
		c.objects()
		c.rights()
		c.probe(ctx)
		c.session.close(ctx)
		c.policies(ctx, url)
	}
	return c.found
}

// check gathers the findings about one broker.
type check struct {
	endpoint
	options    CheckOptions
	topologies []Topology // the main one, and those of the subscriptions
	session    *session
	on         *declaration
	missing    []string // queues and exchanges
	found      []ports.Finding
}

func (c *check) add(what, value, fault, wayOut string) {
	c.found = append(c.found, ports.Finding{What: what, Value: value, Fault: fault, WayOut: wayOut})
}

// certificates examines the certificates of the broker and the client. It reports false if
// no connection can succeed.
func (c *check) certificates(ctx context.Context) (ok bool) {
	if c.uri().Scheme != "amqps" {
		return true
	}
	found, ok := tlscheck.Check(ctx, c.address(), c.tlsConfig(), tlsHints)
	c.found = append(c.found, found...)
	return ok
}

// server connects, and finds out the broker's version.
func (c *check) server(ctx context.Context) (ok bool) {
	s, err := c.open(ctx, func(*session) error { return nil })
	if err != nil {
		fault, wayOut := tlscheck.Explain(err, tlsHints)
		var refused *refusal
		switch {
		case fault != "":
		case errors.As(err, &refused):
			fault, wayOut = refused.err.Error(), refused.wayOut
		default:
			fault, wayOut = fmt.Sprintf("it can't be used: %v", err), "start it, or name another in the URL"
			var e *amqp.Error
			if errors.As(err, &e) && strings.Contains(e.Reason, "vhost") {
				wayOut = fmt.Sprintf("make the virtual host with \"rabbitmqctl add_vhost %s\", or name another as the URL's path", shellQuote(c.uri().Vhost))
			}
		}
		c.add("server", c.address(), fault, wayOut)
		return false
	}
	c.session, c.on = s, &declaration{conn: s.conn}
	product, _ := s.conn.Properties["product"].(string)
	version, _ := s.conn.Properties["version"].(string)
	fault, wayOut := "", ""
	switch {
	case product != "RabbitMQ":
		fault, wayOut = fmt.Sprintf("the server is %.40q and not RabbitMQ, whose queues keep the events", product), "name a RabbitMQ in the URL"
	case olderThan(version, oldestVersion):
		fault, wayOut = "it is older than "+oldestVersion+", the first whose queues lose no dead letters", "update it"
	}
	c.add("server", fmt.Sprintf("%s, %s %s, virtual host %s", c.address(), product, version, c.uri().Vhost), fault, wayOut)
	c.add("login", c.uri().Username, "", "")
	return true
}

// olderThan compares two versions such as 3.13.7. An unknown one is not older.
func olderThan(version, than string) bool {
	a, b := strings.Split(version, "."), strings.Split(than, ".")
	for i := range min(len(a), len(b)) {
		x, errX := strconv.Atoi(a[i])
		y, errY := strconv.Atoi(b[i])
		if errX != nil || errY != nil || x != y {
			return errX == nil && errY == nil && x < y
		}
	}
	return false
}

// objects finds out which exchanges and queues exist, and whether their properties are
// right. It does not declare those that are missing.
func (c *check) objects() {
	type object struct {
		kind, name string
		declare    func(ch *amqp.Channel, passive bool) error
		invalid    func(ch *amqp.Channel) error // a declaration that the broker refuses after it has found the right
	}
	var objects []object
	add := func(o object) {
		if !slices.ContainsFunc(objects, func(other object) bool { return other.kind == o.kind && other.name == o.name }) {
			objects = append(objects, o)
		}
	}
	for _, t := range c.topologies {
		for _, x := range t.exchanges() {
			add(object{"exchange", x.name, x.declare, func(ch *amqp.Channel) error {
				return ch.ExchangeDeclare(x.name, x.kind, true, false, false, false, amqp.Table{"alternate-exchange": int32(1)})
			}})
		}
		for _, q := range t.queues() {
			add(object{"queue", q.name, q.declare, func(ch *amqp.Channel) error {
				_, err := ch.QueueDeclare(q.name, true, false, false, false, amqp.Table{"x-expires": int32(-1)})
				return err
			}})
		}
	}
	unknown, faults := 0, len(c.found)
	for _, o := range objects {
		err := c.on.on(func(ch *amqp.Channel) error { return o.declare(ch, true) })
		var e *amqp.Error
		switch _, _, refused := rightRefused(err); {
		case errors.As(err, &e) && e.Code == amqp.NotFound:
			c.missing = append(c.missing, o.name)
			err = c.on.on(o.invalid)
			if _, user, refused := rightRefused(err); refused {
				c.add(o.kind, o.name, fmt.Sprintf("it does not exist, and user %q may not declare it", user),
					"start the service once as a user that may, or "+c.allow(user))
			}
			continue
		case refused:
			unknown++
			continue
		case err != nil:
			c.add(o.kind, o.name, fmt.Sprintf("it can't be looked for: %v", err), "see the broker's log")
			continue
		}
		err = c.on.declare(o.kind, o.name, o.declare)
		var mismatch *TopologyError
		switch {
		case errors.As(err, &mismatch):
			c.add(o.kind, o.name, "it exists with other properties: "+mismatch.Reason, mismatch.wayOut())
		case err != nil:
			c.add(o.kind, o.name, err.Error(), "see the broker's log")
		}
	}
	value := fmt.Sprintf("%d of %d exist", len(objects)-len(c.missing)-unknown, len(objects))
	if len(c.missing) > 0 {
		value += "; the first start declares the others"
	}
	if unknown > 0 {
		value += fmt.Sprintf("; the user may not see %d", unknown)
	}
	if len(c.found) == faults {
		c.add("exchanges and queues", value, "", "")
	}
}

// allow returns the command that gives the user all rights on the topology.
func (c *check) allow(user string) string {
	return fmt.Sprintf("allow it with \"rabbitmqctl set_permissions -p %s %s %s\", which replaces the user's permissions there",
		shellQuote(c.uri().Vhost), shellQuote(user), c.topology.permissions())
}

// rights finds out whether the user may publish and consume, as far as the exchanges and
// queues exist.
func (c *check) rights() {
	t := c.topology
	var routes []route
	if c.options.Publishes {
		routes = append(routes, t.publishing()...)
	}
	for _, topology := range c.topologies {
		if topology.subscription != "" || slices.Contains(c.options.Subscriptions, "") {
			routes = append(routes, topology.handingOver()...)
		}
	}
	if len(c.options.Subscriptions) > 0 {
		routes = append(routes, t.replaying()...)
	}
	faults := len(c.found)
	tried := make(map[string]bool)
	for _, r := range routes {
		if tried[r.exchange] || slices.Contains(c.missing, r.exchange) {
			continue
		}
		tried[r.exchange] = true
		c.refused(checkRoutes(c.session.conn, []route{r}))
	}
	for _, queue := range c.consumed() {
		if slices.Contains(c.missing, queue) {
			continue
		}
		// The broker looks for the right first, then at the priority, which must be a number.
		err := c.on.on(func(ch *amqp.Channel) error {
			_, err := ch.Consume(queue, "", false, false, false, false, amqp.Table{"x-priority": "check"})
			return err
		})
		if _, _, refused := rightRefused(err); refused {
			c.refused(fmt.Errorf("check whether messages may be consumed from %q: %w", queue, err))
		}
	}
	if len(c.found) == faults {
		switch {
		case len(routes) == 0:
		case len(tried) == 0:
			c.add("rights", "not known before the exchanges exist", "", "")
		default:
			c.add("rights", "to all that it uses", "", "")
		}
	}
}

func (c *check) consumed() (queues []string) {
	for _, name := range c.options.Subscriptions {
		queues = append(queues, c.topology.of(name).consumed())
	}
	if len(queues) > 0 {
		queues = append(queues, c.topology.deadLetters())
	}
	return queues
}

// refused adds the error of a call that was refused, unless there is none.
func (c *check) refused(err error) {
	var explained *refusal
	switch err := c.explain(err); {
	case err == nil:
	case errors.As(err, &explained):
		c.add("right", "", explained.err.Error(), explained.wayOut)
	default:
		c.add("right", "", err.Error(), "see the broker's log")
	}
}

// probe sends a message to a queue of its own and gets it back. The broker deletes the
// queue when the connection ends, whatever ends it.
func (c *check) probe(ctx context.Context) {
	const what = "probe message"
	name := c.topology.Queue + ".check." + rand.Text()
	began := time.Now()
	err := c.session.ask(func() error {
		ch, err := c.session.conn.Channel()
		if err != nil {
			return err
		}
		if err := ch.Confirm(false); err != nil {
			return err
		}
		if _, err = ch.QueueDeclare(name, false, true, true, false, nil); err != nil {
			return err
		}
		deliveries, err := ch.Consume(name, "", true, true, false, false, nil)
		if err != nil {
			return err
		}
		confirmed, err := ch.PublishWithDeferredConfirmWithContext(ctx, amqp.DefaultExchange, name, true, false, amqp.Publishing{Body: []byte(name)})
		if err != nil {
			return err
		}
		waiting, cancel := context.WithTimeout(ctx, answerTimeout)
		defer cancel()
		defer context.AfterFunc(c.session.lifetime, cancel)()
		if ok, err := confirmed.WaitContext(waiting); err != nil || !ok {
			return errors.Join(c.session.checkBlocked(), errNotConfirmed)
		}
		select {
		case d, open := <-deliveries:
			if !open || string(d.Body) != name {
				return errors.New("the broker delivered another message")
			}
		case <-waiting.Done():
			return errors.New("it was not delivered")
		}
		if _, err := ch.QueueDelete(name, false, false, false); err != nil {
			return err
		}
		return ch.Close()
	})
	_, _, refused := rightRefused(err)
	switch {
	case err == nil:
		c.add(what, fmt.Sprintf("there and back in %v", time.Since(began).Round(time.Millisecond)), "", "")
	case refused:
		c.add(what, "not sent: the user may not make a queue for it", "", "")
	case c.session.checkBlocked() != nil:
		c.add(what, "", c.session.checkBlocked().Error(), "free disk or memory at the broker; until then events wait in the outbox")
	default:
		c.add(what, "", err.Error(), "see the broker's log")
	}
}

var errNotConfirmed = fmt.Errorf("the broker has not confirmed it within %v", answerTimeout)

// policies asks the management API whether a policy would lose events.
func (c *check) policies(ctx context.Context, url string) {
	if c.options.ManagementURL == "" {
		return
	}
	subscriptions := slices.DeleteFunc(slices.Clone(c.options.Subscriptions), func(name string) bool { return name == "" })
	err := CheckPolicies(ctx, c.options.ManagementURL, url, c.options.Topology, subscriptions...)
	var lossy *PolicyError
	switch {
	case err == nil:
		c.add("policies", "none that loses events", "", "")
	case errors.As(err, &lossy):
		for _, f := range lossy.Faults {
			c.add("policies", "", f.String(), lossy.wayOut)
		}
	default:
		c.add("policies", "", fmt.Sprintf("they can't be read: %v", err), "correct the management API's URL, or leave it out")
	}
}
