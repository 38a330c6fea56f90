// Package accounts gathers what a store has counted into the accounts that the ports
// return. The zero values are empty.
package accounts

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// Deliveries are the accounts of recipients.
type Deliveries map[recipient]*ports.DeliveryAccount

type recipient struct{ channel, name string }

// Of returns the account of the recipient.
func (d Deliveries) Of(channel, name string) *ports.DeliveryAccount {
	key := recipient{channel, name}
	if d[key] == nil {
		d[key] = &ports.DeliveryAccount{Channel: channel, Recipient: name}
	}
	return d[key]
}

// Wait sets what is in the state, if it is one that notifications leave again.
func (d Deliveries) Wait(channel, name string, state domain.NotificationState, waiting ports.Backlog) {
	switch account := d.Of(channel, name); state {
	case domain.Retrying:
		account.Retrying = waiting
	case domain.Held:
		account.Held = waiting
	case domain.Dead:
		account.Dead = waiting
	}
}

// Sorted returns the accounts by channel and recipient.
func (d Deliveries) Sorted() []ports.DeliveryAccount {
	return sorted(d, func(a, b ports.DeliveryAccount) int {
		return cmp.Or(strings.Compare(a.Channel, b.Channel), strings.Compare(a.Recipient, b.Recipient))
	})
}

// Letters are the accounts of subscriptions.
type Letters map[subscription]*ports.DeadLetterAccount

type subscription struct {
	name       string
	unreadable bool
}

// Unreadable reports whether the letter with the id is not an event.
func Unreadable(id string) bool { return strings.HasPrefix(id, ports.UnreadableID) }

// Of returns the account of the subscription's letters that are events, or of those that
// are not.
func (l Letters) Of(name string, unreadable bool) *ports.DeadLetterAccount {
	key := subscription{name, unreadable}
	if l[key] == nil {
		l[key] = &ports.DeadLetterAccount{Subscription: name, Unreadable: unreadable}
	}
	return l[key]
}

// Settle adds letters in the state, if letters stay counted in it.
func (l Letters) Settle(name string, unreadable bool, state ports.DeadLetterState, n int) {
	switch state {
	case ports.Replayed:
		l.Of(name, unreadable).Replayed += n
	case ports.Discarded:
		l.Of(name, unreadable).Discarded += n
	}
}

// Sorted returns the accounts that count anything by subscription, with events first.
func (l Letters) Sorted() []ports.DeadLetterAccount {
	maps.DeleteFunc(l, func(_ subscription, a *ports.DeadLetterAccount) bool { return a.Total() == 0 })
	return sorted(l, func(a, b ports.DeadLetterAccount) int {
		switch c := strings.Compare(a.Subscription, b.Subscription); {
		case c != 0 || a.Unreadable == b.Unreadable:
			return c
		case b.Unreadable:
			return -1
		}
		return 1
	})
}

func sorted[K comparable, A any](accounts map[K]*A, compare func(a, b A) int) []A {
	var all []A
	for _, account := range accounts {
		all = append(all, *account)
	}
	slices.SortFunc(all, compare)
	return all
}
