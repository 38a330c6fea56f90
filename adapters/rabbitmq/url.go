package rabbitmq

import (
	"errors"
	"net/url"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"
)

var errURL = errors.New("read URL of the broker: it must be like amqp://user:password@host:5672/vhost, or amqps:, " +
	"with every reserved character in user and password percent-encoded")

// checkURL says nothing of what is wrong with the URL: where it is broken, any
// part of it may be the password. An unescaped character may move the rest of
// the password into the host, the path or the fragment, which are shown; so the
// only @ must be the one behind the user.
func checkURL(address string) error {
	_, err := amqp.ParseURI(address)
	u, parseErr := url.Parse(address)
	if err != nil || parseErr != nil || u.Fragment != "" ||
		strings.Contains(address, "@") != (u.User != nil) || strings.Count(address, "@") > 1 {
		return errURL
	}
	return nil
}
