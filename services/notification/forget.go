package notification

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/actions"
	"example.com/orderflow/services/internal/mask"
)

// Forgotten counts what Forget has changed.
type Forgotten struct {
	Contacts, Notifications, DeadLetters int
	Left                                 []string // the parts of the store that could not be changed
}

// Forget deletes the user's contact, and removes the user from the recorded
// notifications and the dead letters. Orders and their events keep the user's id.
//
// [*domain.InvalidError] is returned when no user can have the id. If a part of the store
// fails, Forget changes the others and returns the error: repeat it.
//
// Forget does not change the events in the broker's queues, nor what notifiers send at the
// same time: repeat it once they are handled. The operators' actions name no users.
func (c *Control) Forget(ctx context.Context, userID, by, why string) (forgotten Forgotten, err error) {
	if err := domain.CheckKnownUserID(userID); err != nil { // an empty id would select what has no user
		return forgotten, err
	}
	entry := actions.Entry{Action: actions.Forget, By: by, Target: actions.User(userID), Reason: actions.WithoutUser(why, userID)}
	running, err := c.journal.Begin(ctx, entry)
	if err != nil {
		return forgotten, fmt.Errorf("forget user: %w", err)
	}
	forgotten, err = c.forget(ctx, userID)
	changed, left := forgotten.Contacts+forgotten.Notifications+forgotten.DeadLetters, error(nil)
	if err != nil {
		left = fmt.Errorf("these could not be changed: %s", strings.Join(forgotten.Left, ", "))
	}
	running.End(ctx, changed, left)
	c.log.InfoContext(ctx, "user forgotten", "user_id", mask.Text(userID), "by", by, "contacts", forgotten.Contacts,
		"notifications", forgotten.Notifications, "dead_letters", forgotten.DeadLetters, "left", forgotten.Left)
	return forgotten, err
}

func (c *Control) forget(ctx context.Context, userID string) (Forgotten, error) {
	var forgotten Forgotten
	var errs []error
	part := func(name string, err error) {
		if err != nil {
			forgotten.Left = append(forgotten.Left, name)
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	// Without a contact nothing more is sent, so contacts come first.
	err := c.store.Contacts.Delete(ctx, userID)
	switch {
	case err == nil:
		forgotten.Contacts = 1
	case errors.Is(err, ports.ErrNotFound):
		err = nil
	}
	part("contacts", err)
	forgotten.Notifications, err = c.store.Deliveries.Forget(ctx, userID)
	part("notifications", err)
	forgotten.DeadLetters, err = c.store.DeadLetters.Forget(ctx, userID)
	part("dead letters", err)

	if len(errs) > 0 {
		return forgotten, fmt.Errorf("forget user: %w; repeat it", errors.Join(errs...))
	}
	return forgotten, nil
}
