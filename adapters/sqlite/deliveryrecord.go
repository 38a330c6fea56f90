package sqlite

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"example.com/orderflow/adapters/internal/records"
	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

const (
	notificationColumns = "event_id, channel, recipient, user_id, state, at, next_try, held_channel, held_receiver, details"

	selectNotifications = "SELECT " + notificationColumns + " FROM deliveries"
	intoDeliveries      = " INTO deliveries (" + notificationColumns + ", event, since) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)

// The places of columns in notificationColumns.
const (
	columnState   = 4
	columnDetails = 9
)

// deliveryDetails are the fields of a notification that no query selects by. Times are in
// milliseconds since 1970, as in columns.
type deliveryDetails struct {
	OrderID  domain.OrderID    `json:"order_id,omitempty"` // unless it is the event's
	Attempt  int               `json:"attempt,omitempty"`
	First    *int64            `json:"first,omitempty"`
	Reason   string            `json:"reason,omitempty"`
	Receiver string            `json:"receiver,omitempty"`
	Attempts []deliveryAttempt `json:"attempts,omitempty"`
}

type deliveryAttempt struct {
	At           int64          `json:"at"`
	Milliseconds int64          `json:"ms"`
	Outcome      domain.Outcome `json:"outcome"`
	Code         string         `json:"code,omitempty"`
	Answer       string         `json:"answer,omitempty"`
}

// deliveryColumns returns the notification's row, with the event if it waits.
func deliveryColumns(n domain.Notification, event domain.Event) ([]any, error) {
	details, err := encodeDetails(n)
	if err != nil {
		return nil, err
	}
	columns := []any{string(n.EventID), n.Channel, n.Recipient, n.UserID, string(n.State), n.At.UnixMilli(), nil, nil, nil, details, nil, nil}
	if n.State.Waits() || n.State == domain.Dead {
		columns[11] = n.Since().UnixMilli()
	}
	if !n.State.Waits() {
		return columns, nil
	}
	columns[6] = n.NextTry.UnixMilli()
	if n.State == domain.Held {
		columns[7], columns[8] = n.HeldBy.Channel, n.HeldBy.Receiver
	}
	columns[10], err = encodeEvent(event)
	return columns, err
}

func encodeDetails(n domain.Notification) (string, error) {
	details := deliveryDetails{Attempt: n.Attempt, Reason: n.Reason, Receiver: n.Receiver}
	if of, ok := n.EventID.OrderID(); !ok || of != n.OrderID {
		details.OrderID = n.OrderID
	}
	if !n.First.IsZero() {
		first := n.First.UnixMilli()
		details.First = &first
	}
	for _, a := range n.Attempts[max(len(n.Attempts)-domain.MaxAttempts, 0):] {
		details.Attempts = append(details.Attempts, deliveryAttempt{
			a.At.UnixMilli(), a.Duration.Milliseconds(), a.Outcome, a.Code, records.CutText(a.Answer, domain.MaxAnswer),
		})
	}
	text, err := json.Marshal(details)
	return string(text), ports.Permanent(err)
}

// readNotification reads a row that begins with notificationColumns.
func readNotification(r row) (domain.Notification, error) {
	n := domain.Notification{
		EventID: domain.EventID(r.ColumnText(0)), Channel: r.ColumnText(1), Recipient: r.ColumnText(2),
		UserID: r.ColumnText(3), State: domain.NotificationState(r.ColumnText(columnState)),
	}
	fields := record{row: r, id: deliveryID(n.Key())}
	if !slices.Contains(domain.NotificationStates, n.State) {
		fields.fail("state", "is not a state of a notification")
	}
	n.At = fields.date(5, "at")
	if n.State.Waits() {
		fields.require(6, "next_try")
		n.NextTry = fields.date(6, "next_try")
	}
	if n.State == domain.Held {
		fields.require(7, "held_channel")
		fields.require(8, "held_receiver")
		n.HeldBy = domain.PauseKey{Channel: r.ColumnText(7), Receiver: r.ColumnText(8)}
	}
	readDetails(&fields, &n)
	if fields.err != nil {
		return domain.Notification{}, fields.err
	}
	return n, nil
}

// deliveryID is a notification's key for people.
func deliveryID(key domain.NotificationKey) string {
	return strings.TrimSpace("event " + string(key.EventID) + " by " + key.Channel + " " + key.Recipient)
}

func readDetails(fields *record, n *domain.Notification) {
	var details deliveryDetails
	fields.json(columnDetails, "details", &details)
	n.OrderID, n.Attempt, n.Reason, n.Receiver = details.OrderID, details.Attempt, details.Reason, details.Receiver
	if n.OrderID == "" {
		n.OrderID, _ = n.EventID.OrderID()
	}
	if details.First != nil {
		n.First = fields.writable(millis(*details.First), "first")
	}
	for _, a := range details.Attempts {
		n.Attempts = append(n.Attempts, domain.Attempt{
			At: fields.writable(millis(a.At), "attempts.at"), Duration: time.Duration(a.Milliseconds) * time.Millisecond,
			Outcome: a.Outcome, Code: a.Code, Answer: a.Answer,
		})
	}
}

func millis(since1970 int64) time.Time { return time.UnixMilli(since1970).UTC() }

// storedEvent is the event of a notification that waits, as adapters/wire has it.
type storedEvent struct {
	Properties json.RawMessage `json:"properties"`
	Body       json.RawMessage `json:"body"`
}

func encodeEvent(event domain.Event) (string, error) {
	message, err := wire.Encode(event)
	if err != nil {
		return "", ports.Permanent(err)
	}
	properties, err := encodeProperties(message)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(storedEvent{json.RawMessage(properties), message.Body})
	return string(text), ports.Permanent(err)
}

// readWaiting reads a row of notificationColumns and the event, of a notification that
// waits.
func readWaiting(r row) (ports.WaitingDelivery, error) {
	n, err := readNotification(r)
	if err != nil {
		return ports.WaitingDelivery{}, err
	}
	fields := record{row: r, id: deliveryID(n.Key())}
	w := ports.WaitingDelivery{Notification: n}
	var stored storedEvent
	fields.json(columnDetails+1, "event", &stored)
	if fields.err == nil {
		message, err := decodeMessage(string(stored.Properties), stored.Body)
		if err == nil {
			w.Event, err = wire.Decode(message)
		}
		if err != nil {
			fields.fail("event", "is damaged: "+err.Error())
		}
	}
	return w, fields.err
}
