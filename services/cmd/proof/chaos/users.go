package main

import (
	"fmt"
	"strconv"
	"strings"

	"example.com/orderflow/domain"
	"example.com/orderflow/services/cmd/proof/harness"
)

// userKind says what a user's contact has. The users are of each kind in turn.
type userKind struct{ mail, webhook, off bool }

var userKinds = []userKind{
	{mail: true}, {webhook: true}, {mail: true, webhook: true}, {mail: true, webhook: true, off: true}, {},
}

const userPrefix = "client-"

// userID returns the id of the user of that number.
func userID(number int) string { return fmt.Sprint(userPrefix, number) }

func kindOf(user string) userKind {
	number, err := strconv.Atoi(strings.TrimPrefix(user, userPrefix))
	if err != nil {
		return userKind{}
	}
	return userKinds[number%len(userKinds)]
}

// recipient is one of those that a channel notifies of an order.
type recipient struct{ channel, name string }

var recipients = []recipient{
	{harness.Email, domain.UserRecipient}, {harness.Webhook, domain.UserRecipient}, {harness.Webhook, harness.Operator},
}

// key returns the id of the notification of the order.
func (r recipient) key(order string) string { return eventOf(order) + "." + r.channel + "." + r.name }

// wants reports whether the recipient gets the orders of the user.
func (r recipient) wants(user string) bool {
	kind := kindOf(user)
	switch {
	case r.name == harness.Operator:
		return true
	case r.channel == harness.Email:
		return kind.mail && !kind.off
	}
	return kind.webhook && !kind.off
}

// contacts returns the contacts of the users. A user without an address has none.
func contacts(users int, webhooks string) (all []harness.Contact) {
	for n := range users {
		c := harness.Contact{UserID: userID(n), Language: []string{"en", "de", ""}[n%3]}
		kind := kindOf(c.UserID)
		if kind.mail {
			c.Email = c.UserID + "@example.com"
		}
		if kind.webhook {
			c.Webhook = "http://" + webhooks + "/" + c.UserID
		}
		if kind.off {
			c.Off = []string{harness.Email, harness.Webhook}
		}
		if kind.mail || kind.webhook {
			all = append(all, c)
		}
	}
	return all
}

// address returns where the recipient's notification of the user's order goes.
func (r recipient) address(user string) string {
	switch {
	case r.name == harness.Operator:
		return "/" + harness.Operator
	case r.channel == harness.Email:
		return user + "@example.com"
	}
	return "/" + user
}
