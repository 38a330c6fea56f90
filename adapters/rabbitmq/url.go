package rabbitmq

import (
	"errors"

	amqp "github.com/rabbitmq/amqp091-go"
)

var errURL = errors.New("read URL of the broker: it must be like amqp://user:password@host:5672/vhost, or amqps:, " +
	"with every reserved character in user and password percent-encoded")

// checkURL says nothing of what is wrong with the URL: where it is broken, any
// part of it may be the password.
func checkURL(url string) error {
	if _, err := amqp.ParseURI(url); err != nil {
		return errURL
	}
	return nil
}
