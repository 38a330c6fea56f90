package notification

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// Notifications returns a page of notifications. See [ports.DeliveryLog], and
// [Undelivered] for the next try of those that are held.
func (c *Control) Notifications(ctx context.Context, query ports.NotificationQuery) (ports.NotificationPage, error) {
	page, err := c.store.Deliveries.List(ctx, query)
	if err != nil || !slices.ContainsFunc(page.Notifications, func(n domain.Notification) bool { return n.State == domain.Held }) {
		return page, err
	}
	pauses, err := c.pauses(ctx)
	for i, n := range page.Notifications {
		page.Notifications[i].NextTry = nextTry(n, pauses[n.HeldBy])
	}
	return page, err
}

// Undelivered is a notification that has not reached its receiver. The next try of one
// that is held is its pause's next probe, or now while the pause is drained; it is zero if
// the notification waits until a person resumes the pause.
type Undelivered struct {
	domain.Notification
	Pause *ports.Pause // that keeps it from being sent; nil: none
}

// nextTry returns when the notification is tried again. The stored time of a held one is
// a safety net, in case its pause disappears.
func nextTry(n domain.Notification, pause *ports.Pause) time.Time {
	switch {
	case n.State != domain.Held || pause == nil:
		return n.NextTry
	case pause.Kind == ports.Breaker:
		return pause.Probe
	case pause.Kind == ports.Draining:
		return now()
	}
	return time.Time{}
}

// pauses returns all pauses.
func (c *Control) pauses(ctx context.Context) (map[domain.PauseKey]*ports.Pause, error) {
	pauses, err := c.store.States.Pauses(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the pauses: %w", err)
	}
	byKey := make(map[domain.PauseKey]*ports.Pause, len(pauses))
	for i := range pauses {
		byKey[pauses[i].PauseKey] = &pauses[i]
	}
	return byKey, nil
}

// UndeliveredPage is one page of undelivered notifications.
type UndeliveredPage struct {
	Notifications []Undelivered
	NextCursor    string // opaque; empty on the last page
	Unreadable    int    // records that were skipped
}

// Undelivered returns a page of notifications that have not reached their receivers:
// those that are retried, held or dead, unless the query names states. It leaves out
// dead ones whose dead letter was replayed or discarded, or is not stored any more, so a
// page may have fewer than the limit.
func (c *Control) Undelivered(ctx context.Context, query ports.NotificationQuery) (UndeliveredPage, error) {
	if len(query.States) == 0 {
		query.States = []domain.NotificationState{domain.Retrying, domain.Held, domain.Dead}
	}
	if slices.Contains(query.States, domain.Sent) {
		return UndeliveredPage{}, &domain.InvalidError{Fields: []domain.FieldError{{
			Field: "state", Reason: "must be of retrying, held, dead, skipped: sent notifications are delivered",
		}}}
	}
	list, err := c.store.Deliveries.List(ctx, query)
	if err != nil {
		return UndeliveredPage{}, err
	}
	pauses, err := c.pauses(ctx)
	if err != nil {
		return UndeliveredPage{}, err
	}
	settled, err := c.settled(ctx, list.Notifications)
	if err != nil {
		return UndeliveredPage{}, err
	}
	page := UndeliveredPage{NextCursor: list.NextCursor, Unreadable: list.Unreadable}
	for i, n := range list.Notifications {
		if settled[i] {
			continue
		}
		n.NextTry = nextTry(n, pauses[n.HeldBy])
		page.Notifications = append(page.Notifications, Undelivered{n, pauseOf(n, pauses)})
	}
	return page, nil
}

// pauseOf returns the pause that holds the notification, or that will hold it when
// it is tried next.
func pauseOf(n domain.Notification, pauses map[domain.PauseKey]*ports.Pause) *ports.Pause {
	if !n.State.Waits() {
		return nil
	}
	if pause := pauses[n.HeldBy]; pause != nil {
		return pause
	}
	for _, key := range []domain.PauseKey{{Channel: n.Channel}, {Channel: n.Channel, Receiver: n.Receiver}} {
		if pause := pauses[key]; pause != nil && pause.Kind != ports.Draining {
			return pause
		}
	}
	return nil
}

const (
	lettersAtOnce = 8
	letterDelay   = time.Hour // in which the letter of a dead notification reaches the store
)

// settled reports of each of the notifications whether it is dead and needs no person any
// more, because one has decided about its dead letter.
func (c *Control) settled(ctx context.Context, all []domain.Notification) ([]bool, error) {
	settled, errs := make([]bool, len(all)), make([]error, len(all))
	slots := make(chan struct{}, lettersAtOnce)
	var reading sync.WaitGroup
	for i, n := range all {
		if n.State == domain.Dead {
			slots <- struct{}{}
			reading.Go(func() {
				defer func() { <-slots }()
				settled[i], errs[i] = c.isSettled(ctx, n)
			})
		}
	}
	reading.Wait()
	return settled, cmp.Or(errs...)
}

func (c *Control) isSettled(ctx context.Context, n domain.Notification) (bool, error) {
	letter, err := c.store.DeadLetters.Get(ctx, string(n.EventID)+"."+n.Channel)
	if errors.Is(err, ports.ErrNotFound) { // the channel may have the main queue
		letter, err = c.store.DeadLetters.Get(ctx, string(n.EventID))
	}
	switch {
	case errors.Is(err, ports.ErrNotFound):
		return time.Since(n.At) > letterDelay, nil
	case errors.As(err, new(*ports.UnreadableError)):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("get the dead letter of a notification: %w", err)
	}
	return letter.State != ports.Waiting && !letter.SettledAt.Before(n.At), nil
}
