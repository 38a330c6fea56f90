package cursor_test

import (
	"cmp"
	"errors"
	"testing"
	"time"

	"example.com/orderflow/adapters/internal/cursor"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

func TestNotificationsBefore(t *testing.T) {
	at := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	key := func(event domain.EventID, channel, recipient string) domain.NotificationKey {
		return domain.NotificationKey{EventID: event, Channel: channel, Recipient: recipient}
	}
	sorted := []cursor.Notification{
		{At: at.Add(-time.Millisecond), Key: key("z", "z", "z")},
		{At: at, Key: key("", "z", "z")},
		{At: at, Key: key("a", "B", "z")},
		{At: at, Key: key("a", "a", "")},
		{At: at, Key: key("a", "a", "a")},
		{At: at, Key: key("a", "ab", "")},
		{At: at.Add(time.Millisecond), Key: key("", "", "")},
	}
	for i, n := range sorted {
		for j, m := range sorted {
			if got, want := n.Before(m), cmp.Less(i, j); got != want {
				t.Errorf("%d before %d: %v, want %v", i, j, got, want)
			}
		}
	}
}

func FuzzDecodeNotification(f *testing.F) {
	at := time.Date(2026, 11, 23, 10, 0, 0, 123_000_000, time.UTC)
	letter := cursor.EncodeLetter(cursor.Letter{Since: at, ID: "letter"})
	for _, s := range []string{"", "x", "AAAA", "AAAAAA", "AAAAAAAAAAAAAAAA", "!!", letter, letter + "\n"} {
		if _, err := cursor.DecodeNotification(s); !errors.Is(err, ports.ErrInvalidCursor) {
			f.Errorf("cursor %q: got error %v, want ErrInvalidCursor", s, err)
		}
		f.Add(s)
	}
	for _, want := range []cursor.Notification{
		{At: at, Key: domain.NotificationKey{EventID: "event", Channel: "email", Recipient: "user"}},
		{At: at.AddDate(-100, 0, 0), Key: domain.NotificationKey{EventID: "event", Channel: "log"}},
		{At: at, Key: domain.NotificationKey{Recipient: "\xff"}},
	} {
		s := cursor.EncodeNotification(want)
		got, err := cursor.DecodeNotification(s)
		if err != nil || got != want {
			f.Errorf("got %+v, error %v; want %+v", got, err, want)
		}
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := cursor.DecodeNotification(s)
		if err != nil {
			if !errors.Is(err, ports.ErrInvalidCursor) {
				t.Errorf("error %v does not wrap ErrInvalidCursor", err)
			}
			return
		}
		if again := cursor.EncodeNotification(n); again != s {
			t.Errorf("%q decodes to the place of %q", s, again)
		}
	})
}

func FuzzDecodeUser(f *testing.F) {
	for _, s := range []string{"", "x", "AAAAAA", "!!", "ann"} {
		if _, err := cursor.DecodeUser(s); !errors.Is(err, ports.ErrInvalidCursor) {
			f.Errorf("cursor %q: got error %v, want ErrInvalidCursor", s, err)
		}
		f.Add(s)
	}
	for _, want := range []string{"a", "ann", "\u00e4\xff\x00"} {
		s := cursor.EncodeUser(want)
		if got, err := cursor.DecodeUser(s); err != nil || got != want {
			f.Errorf("got %q, error %v; want %q", got, err, want)
		}
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		user, err := cursor.DecodeUser(s)
		if err != nil {
			if !errors.Is(err, ports.ErrInvalidCursor) {
				t.Errorf("error %v does not wrap ErrInvalidCursor", err)
			}
			return
		}
		if again := cursor.EncodeUser(user); again != s {
			t.Errorf("%q decodes to the user of %q", s, again)
		}
	})
}
