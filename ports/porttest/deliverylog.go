package porttest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

const channel = "mail"

// notification returns a notification of the event, sent n seconds after the
// epoch.
func notification(event domain.Event, channel string, n int) domain.Notification {
	return domain.Notification{
		EventID: event.ID,
		OrderID: event.Order.ID,
		UserID:  event.Order.UserID,
		Channel: channel,
		Attempt: n%5 + 1,
		State:   domain.Sent,
		At:      epoch.Add(time.Duration(n)*time.Second + 123*time.Millisecond),
	}
}

// notificationIn returns a notification of the event in this state, since n seconds
// after the epoch. If it waits, its next try was an hour ago.
func notificationIn(state domain.NotificationState, event domain.Event, channel string, n int) domain.Notification {
	of := notification(event, channel, n)
	of.State = state
	if state != domain.Sent {
		of.Reason = "reason " + fmt.Sprint(n)
	}
	if state.Waits() {
		of.NextTry = domain.TruncateTime(time.Now().Add(-time.Hour))
	}
	if state == domain.Held {
		of.HeldBy = domain.PauseKey{Channel: channel, Receiver: "receiver"}
	}
	return of
}

// hardNotifications returns notifications of the event that a server easily changes
// when it stores or returns them. Each has another key.
func hardNotifications(event domain.Event) []domain.Notification {
	bare := domain.Notification{EventID: event.ID, OrderID: event.Order.ID, Channel: "a.b$c", State: domain.Skipped, At: epoch}

	full := notificationIn(domain.Retrying, event, channel, 1)
	full.Recipient, full.Receiver = domain.UserRecipient, "mail.example.com#0f"
	full.Attempt, full.First = 1_000_000, time.Date(1969, 12, 31, 23, 59, 59, 999_000_000, time.UTC)
	full.NextTry = time.Date(2299, 12, 31, 23, 59, 59, 999_000_000, time.UTC)
	outcomes := []domain.Outcome{domain.Accepted, domain.Refused, domain.Rejected, domain.Unreachable}
	for i := range domain.MaxAttempts {
		full.Attempts = append(full.Attempts, domain.Attempt{
			At: epoch.Add(time.Duration(i) * time.Millisecond), Duration: time.Duration(i) * time.Hour, Outcome: outcomes[i%len(outcomes)],
			Code: fmt.Sprint(200 + i), Answer: strings.Repeat("\u00e4\u754c", domain.MaxAnswer/5),
		})
	}

	texts := notificationIn(domain.Held, event, "$x", 2)
	texts.Recipient, texts.HeldBy.Receiver = `ware.house "$1"`, "a.b:8080#$c"
	texts.UserID = strings.Repeat("\u00fc", domain.MaxUserID)
	texts.Reason = "a\u0308 $1 .* \\ \"\n\x00" + strings.Repeat("\u754c", 1000)
	texts.Attempts = []domain.Attempt{
		{At: epoch, Outcome: domain.Unreachable},
		{At: epoch, Duration: time.Millisecond, Outcome: domain.Refused, Code: "4.2.2\u2028", Answer: "e\u0301 \u00e9 \U0001F6D2 \ufffd <b>\r\n\x00\t{\"$gt\":\"\"}"},
	}
	return []domain.Notification{bare, full, texts, notificationIn(domain.Dead, event, "dead", 3), notification(event, "sent", 4)}
}

func keyOf(event domain.Event, channel string) domain.NotificationKey {
	return domain.NotificationKey{EventID: event.ID, Channel: channel}
}

func claimDelivery(t testing.TB, log ports.DeliveryLog, event domain.Event, channel string) ports.DeliveryClaim {
	t.Helper()
	return claimKey(t, log, keyOf(event, channel))
}

func claimKey(t testing.TB, log ports.DeliveryLog, key domain.NotificationKey) ports.DeliveryClaim {
	t.Helper()
	claim, err := log.Claim(bounded(t), key)
	must(t, fmt.Sprintf("claim free delivery %+v", key), err)
	if claim == nil {
		t.Fatalf("claim delivery %+v: neither a claim nor an error", key)
	}
	return claim
}

// awaitDelivery claims until it gets the claim. It returns the time before the
// successful call.
func awaitDelivery(t testing.TB, log ports.DeliveryLog, event domain.Event) (claim ports.DeliveryClaim, asked time.Time) {
	t.Helper()
	eventually(t, "the claim on "+string(event.ID)+" runs out", func() bool {
		asked = time.Now()
		var err error
		claim, err = log.Claim(bounded(t), keyOf(event, channel))
		if err != nil && !errors.Is(err, ports.ErrClaimed) {
			t.Fatalf("claim %s: %v", event.ID, err)
		}
		return err == nil
	})
	return claim, asked
}

// notClaimed returns a fault unless Claim by either process returns an error
// that wraps want.
func notClaimed(t testing.TB, d DeliveryLog, event domain.Event, want error) (fault string) {
	t.Helper()
	for _, log := range []ports.DeliveryLog{d.Other, d.Log} {
		claim, err := log.Claim(bounded(t), keyOf(event, channel))
		if !errors.Is(err, want) || claim != nil {
			return fmt.Sprintf("claim %s: claim %v and error %v, want no claim and an error that wraps %q", event.ID, claim, err, want)
		}
		checkError(t, "claim", err, want, event.ID)
	}
	return ""
}

// record records the notification without an event, so it must not wait.
func record(t testing.TB, claim ports.DeliveryClaim, n domain.Notification) {
	t.Helper()
	recordWith(t, claim, n, domain.Event{})
}

func recordWith(t testing.TB, claim ports.DeliveryClaim, n domain.Notification, event domain.Event) {
	t.Helper()
	must(t, fmt.Sprintf("record %s delivery of %s", n.State, n.EventID), claim.Record(bounded(t), n, event))
}

// delivered is a notification with its event.
type delivered struct {
	domain.Notification
	Event domain.Event
}

// recordAll claims and records the notifications, many at once.
func recordAll(t testing.TB, log ports.DeliveryLog, all ...delivered) {
	t.Helper()
	forEach(t, all, func(ctx context.Context, n delivered) error {
		claim, err := log.Claim(ctx, n.Key())
		if err != nil {
			return fmt.Errorf("claim free delivery %+v: %w", n.Key(), err)
		}
		if err := claim.Record(ctx, n.Notification, n.Event); err != nil {
			return fmt.Errorf("record %s delivery of %s: %w", n.State, n.EventID, err)
		}
		return nil
	})
}

func releaseDelivery(t testing.TB, claim ports.DeliveryClaim) {
	t.Helper()
	must(t, "release delivery", claim.Release(bounded(t)))
}

// checkDeliveries fails t unless both processes list these notifications of the
// order, in this order.
func checkDeliveries(t testing.TB, d DeliveryLog, order domain.OrderID, want ...domain.Notification) {
	t.Helper()
	for _, log := range []ports.DeliveryLog{d.Log, d.Other} {
		got, err := log.List(bounded(t), ports.NotificationQuery{OrderID: order, Limit: ports.MaxListLimit})
		must(t, "list deliveries of order "+string(order), err)
		checkEqual(t, "deliveries of order "+string(order), ports.NotificationPage{Notifications: want}, got)
	}
}

// checkRecorded fails t unless Claim refuses the event as recorded, and the list
// of its order has the notifications, if any are given.
func checkRecorded(t testing.TB, d DeliveryLog, event domain.Event, want ...domain.Notification) {
	t.Helper()
	if fault := notClaimed(t, d, event, ports.ErrExists); fault != "" {
		t.Error(fault)
	}
	if len(want) > 0 {
		checkDeliveries(t, d, event.Order.ID, want...)
	}
}

// contest returns two claims on each event: one that has run out, and the one that
// came after it.
func contest(t testing.TB, d DeliveryLog, events ...domain.Event) (late, next []ports.DeliveryClaim) {
	t.Helper()
	for _, event := range events {
		late = append(late, claimDelivery(t, d.Log, event, channel))
	}
	for _, event := range events {
		claim, _ := awaitDelivery(t, d.Other, event)
		next = append(next, claim)
	}
	return late, next
}
