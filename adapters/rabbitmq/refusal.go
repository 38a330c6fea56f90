package rabbitmq

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/ports"
)

// A refusal says that the broker refuses the login or a right, and what
// somebody has to change. It is a [ports.ErrRefused]. What may pass by itself is
// none: a limit that is reached, a virtual host that is not there yet or is
// down, an authorisation service that does not answer.
type refusal struct {
	err    error
	wayOut string
}

func (e *refusal) Error() string   { return fmt.Sprintf("%v: %v: %s", ports.ErrRefused, e.err, e.wayOut) }
func (e *refusal) Unwrap() []error { return []error{ports.ErrRefused, e.err} }

// A right that is refused, such as "access to vhost 'v' refused for user 'u'"
// or "write access to exchange 'x' in vhost 'v' refused for user 'u'". Where it
// is refused for a reason that may pass, the reason follows.
var refusedRight = regexp.MustCompile(`access to (vhost|exchange|queue|topic) '.*' refused for user '(.*)'$`)

// rightRefused returns the kind of the thing that the user was refused a right
// on, and the user.
func rightRefused(err error) (kind, user string, refused bool) {
	var e *amqp.Error
	if !errors.As(err, &e) || e.Code != amqp.AccessRefused && e.Code != amqp.NotAllowed {
		return "", "", false
	}
	match := refusedRight.FindStringSubmatch(e.Reason)
	if match == nil {
		return "", "", false
	}
	return match[1], match[2], true
}

// explain adds to a refusal what somebody has to change.
func (e endpoint) explain(err error) error {
	if errors.Is(err, amqp.ErrCredentials) || errors.Is(err, amqp.ErrSASL) {
		return &refusal{err, "check user, password and auth_mechanism in the broker's URL; guest may log in from the broker's own machine only"}
	}
	switch kind, user, refused := rightRefused(err); {
	case !refused:
		return err
	case kind == "topic":
		return &refusal{err, fmt.Sprintf("allow the routing key by \"rabbitmqctl clear_topic_permissions -p %s %s\" or set_topic_permissions",
			shellQuote(e.uri().Vhost), shellQuote(user))}
	default:
		return &refusal{err, fmt.Sprintf("allow it, by \"rabbitmqctl set_permissions -p %s %s %s\" for instance, which replaces the user's permissions there",
			shellQuote(e.uri().Vhost), shellQuote(user), e.topology.permissions())}
	}
}

// permissions returns the patterns for configure, write and read with which a
// user may declare and use the whole topology.
func (t Topology) permissions() string {
	names := fmt.Sprintf(`%s|%s(\..*)?`, regexp.QuoteMeta(t.Exchange), regexp.QuoteMeta(t.Queue))
	own := fmt.Sprintf("^(%s)$", names)
	return strings.Join([]string{shellQuote(own), shellQuote(fmt.Sprintf(`^(%s|amq\.default)$`, names)), shellQuote(own)}, " ")
}

// unavailable marks an error that time may mend, or somebody at the broker.
func unavailable(err error) error {
	if isOfTopology(err) {
		return err
	}
	return fmt.Errorf("%w: %w", ports.ErrUnavailable, err)
}
