package rabbitmq

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/adapters/internal/refused"
	"example.com/orderflow/ports"
)

// TopologyError is returned when an exchange or a queue exists with other
// properties than the topology asks for. RabbitMQ can't change them, so a person
// has to delete it or choose another topology.
type TopologyError struct {
	Kind   string // "exchange" or "queue"
	Name   string
	Vhost  string
	Reason string // which property differs, in the broker's words
}

func (e *TopologyError) Error() string {
	return fmt.Sprintf("%s %q exists with other properties, and RabbitMQ can't change them (%s): %s", e.Kind, e.Name, e.Reason, e.wayOut())
}

func (e *TopologyError) wayOut() string {
	remove := "delete it on the broker's management page"
	if e.Kind == "queue" {
		remove = fmt.Sprintf("let its own consumers empty it, delete it with \"rabbitmqctl delete_queue --vhost %s %s\"",
			shellQuote(e.Vhost), shellQuote(e.Name))
	}
	return fmt.Sprintf("either %s and start again; or leave it and use another vhost, the path of the broker's URL "+
		"(\"rabbitmqctl add_vhost NAME\" creates one), or in code another Topology", remove)
}

// InvalidTopologyError is returned when RabbitMQ does not accept the [Topology].
type InvalidTopologyError struct {
	Part   string // a field of Topology, or the exchange or queue that the broker refused
	Reason string
}

func (e *InvalidTopologyError) Error() string {
	return fmt.Sprintf("topology can't be used: %s: %s", e.Part, e.Reason)
}

// isTopologyError reports whether a person has to change the topology, in code or
// at the broker.
func isTopologyError(err error) bool {
	var mismatch *TopologyError
	var invalid *InvalidTopologyError
	return errors.As(err, &mismatch) || errors.As(err, &invalid)
}

// unavailable wraps [ports.ErrUnavailable] around every error except those of the
// topology.
func unavailable(err error) error {
	if isTopologyError(err) {
		return err
	}
	if errors.Is(err, ports.ErrRefused) {
		return refused.Error(err)
	}
	return fmt.Errorf("%w: %w", ports.ErrUnavailable, err)
}

// refusal is a [ports.ErrRefused]: the broker refuses the login or a right, and a
// person has to change it. A reached limit, a missing or stopped virtual host and a
// silent authorisation service are no refusals, because they may pass by themselves.
type refusal struct {
	err    error
	wayOut string
}

func (e *refusal) Error() string   { return fmt.Sprintf("%v: %v: %s", ports.ErrRefused, e.err, e.wayOut) }
func (e *refusal) Unwrap() []error { return []error{ports.ErrRefused, e.err} }

// refusedRight matches "access to vhost 'v' refused for user 'u'", or "write
// access to exchange 'x' in vhost 'v' refused for user 'u'". If the reason may pass
// by itself, the broker appends it, and refusedRight does not match.
var refusedRight = regexp.MustCompile(`access to (vhost|exchange|queue|topic) '.*' refused for user '(.*)'$`)

// rightRefused reports whether the broker refused the user a right, and on which
// kind of object.
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

// isUnreadable reports whether the connection broke over a message that the
// library can't read, such as one with headers nested too deep. To the library,
// a connection that just ends is a frame error, too.
func isUnreadable(err error) bool {
	var e *amqp.Error
	return errors.As(err, &e) && e.Code == amqp.FrameError && !e.Server && strings.HasPrefix(e.Reason, "Exception (")
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
