package wire

import (
	"fmt"
	"strings"
)

const maxSubscription = 32 // bytes

// CheckSubscription returns an error unless a subscription may have this name. It
// must be 1 to 32 visible ASCII characters, neither "dead-letter" nor "unreadable",
// and not begin with "retry" or "delay": brokers' adapters name other queues so. An
// empty name is allowed, too: it is the main queue's.
func CheckSubscription(name string) error {
	switch {
	case len(name) > maxSubscription || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }):
		return fmt.Errorf("the subscription's name, %.40q, must be 1 to %d visible ASCII characters", name, maxSubscription)
	case name == "dead-letter" || name == "unreadable" || strings.HasPrefix(name, "retry") || strings.HasPrefix(name, "delay"):
		return fmt.Errorf("the subscription's name, %q, is reserved: choose one other than dead-letter and unreadable that does not begin with retry or delay", name)
	}
	return nil
}
