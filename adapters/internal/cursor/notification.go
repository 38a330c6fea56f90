package cursor

import (
	"cmp"
	"strings"
	"time"

	"example.com/orderflow/domain"
)

// Notification is the place of a notification in a list.
type Notification struct {
	At  time.Time
	Key domain.NotificationKey
}

// OfNotification returns the notification's place.
func OfNotification(n domain.Notification) Notification {
	return Notification{At: n.At, Key: n.Key()}
}

// Before reports whether n comes before m, oldest first.
func (n Notification) Before(m Notification) bool {
	return cmp.Or(
		n.At.Compare(m.At),
		cmp.Compare(n.Key.EventID, m.Key.EventID),
		cmp.Compare(n.Key.Channel, m.Key.Channel),
		cmp.Compare(n.Key.Recipient, m.Key.Recipient),
	) < 0
}

// separator is in no key.
const separator = "\x00"

// EncodeNotification returns the cursor of the page that starts after n.
func EncodeNotification(n Notification) string {
	k := n.Key
	return seal(pack(n.At, string(k.EventID)+separator+k.Channel+separator+k.Recipient))
}

// DecodeNotification is the inverse of EncodeNotification. It returns an error that
// wraps [ports.ErrInvalidCursor] for any other text.
func DecodeNotification(s string) (Notification, error) {
	data, err := unseal(s)
	if err != nil || len(data) < timeSize {
		return Notification{}, invalid(s)
	}
	at, key := unpack(data)
	parts := strings.Split(key, separator)
	if len(parts) != 3 {
		return Notification{}, invalid(s)
	}
	return Notification{at, domain.NotificationKey{EventID: domain.EventID(parts[0]), Channel: parts[1], Recipient: parts[2]}}, nil
}
