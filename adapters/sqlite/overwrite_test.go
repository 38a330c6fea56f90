package sqlite

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// Personal data that was deleted, replaced or forgotten is not left in the file's unused
// space, whether it was small or filled pages of its own.
func TestDeletedPersonalDataIsNotInTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "orderflow.db")
	s := openInside(t, path, Options{})
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	secrets := []string{"old@example.com", "deleted@example.com", "in the headers", "in the reason", "in the body", strings.Repeat("large ", 5000),
		"in the event", "forgotten user", "in the delivery", "the receiver", "in the answer"}
	contact := func(address string) ports.Contact {
		return ports.Contact{UserID: address[:3], Addresses: map[string]string{"email": address}, UpdatedAt: epoch}
	}
	ok(s.Contacts().Put(t.Context(), contact("old@example.com"), contact("deleted@example.com")))
	ok(s.Contacts().Put(t.Context(), ports.Contact{UserID: "old", UpdatedAt: epoch}))
	ok(s.Contacts().Delete(t.Context(), "del"))
	for n, text := range secrets[4:6] {
		letter := newLetter(n)
		letter.Message.Headers = map[string]string{"x": "in the headers"}
		letter.Message.Body = fmt.Appendf(nil, `{"user_id":"ann","text":%q}`, text)
		letter.Failure.Reason = "in the reason"
		ok(s.DeadLetters().Put(t.Context(), letter))
	}
	ok(errorOf(s.DeadLetters().Forget(t.Context(), "ann")))
	order := newOrder(t, 7)
	order.Product = "in the event"
	claim, err := s.Deliveries().Claim(t.Context(), domain.NotificationKey{EventID: order.Created().ID, Channel: "email", Recipient: domain.UserRecipient})
	ok(err)
	ok(claim.Record(t.Context(), domain.Notification{
		OrderID: order.ID, UserID: "forgotten user", State: domain.Retrying, Reason: "in the delivery", At: epoch, NextTry: epoch, Receiver: "the receiver",
		Attempts: []domain.Attempt{{At: epoch, Outcome: domain.Refused, Answer: "in the answer"}},
	}, order.Created()))
	ok(errorOf(s.Deliveries().Forget(t.Context(), "forgotten user")))
	ok(s.Close(t.Context()))
	data, err := os.ReadFile(path)
	ok(err)
	for _, secret := range secrets {
		if part := secret[:min(len(secret), 100)]; bytes.Contains(data, []byte(part)) {
			t.Errorf("the file still has %q", part)
		}
	}
	if !bytes.Contains(data, []byte(newLetter(0).ID)) {
		t.Error("the file does not have the letter's id, want it as text")
	}
}
