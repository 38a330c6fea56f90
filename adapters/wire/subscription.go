package wire

import (
	"fmt"
	"strings"
)

const maxSubscription = 32 // bytes

// CheckSubscription returns an error unless a subscription may have this name: 1 to
// 32 visible ASCII characters. Brokers' adapters name other queues "dead-letter" and
// "unreadable", with a beginning "retry" or "delay", or with ".retry." inside, so
// these names are reserved. An empty name is allowed: it is the main queue's.
func CheckSubscription(name string) error {
	switch {
	case len(name) > maxSubscription || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }):
		return fmt.Errorf("the subscription's name, %.40q, must be 1 to %d visible ASCII characters", name, maxSubscription)
	case name == "dead-letter" || name == "unreadable" || strings.HasPrefix(name, "retry") || strings.HasPrefix(name, "delay") ||
		strings.Contains(name, ".retry."):
		return fmt.Errorf("the subscription's name, %q, is reserved: choose one other than dead-letter and unreadable "+
			"that does not begin with retry or delay and has no \".retry.\" inside", name)
	}
	return nil
}
