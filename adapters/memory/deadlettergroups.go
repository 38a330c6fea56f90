package memory

import (
	"context"
	"fmt"

	"example.com/orderflow/adapters/internal/accounts"
	"example.com/orderflow/ports"
)

// Groups implements [ports.DeadLetters].
func (d *DeadLetters) Groups(ctx context.Context, query ports.DeadLetterQuery) (ports.DeadLetterGroups, error) {
	if err := d.begin(ctx); err != nil {
		return ports.DeadLetterGroups{}, fmt.Errorf("group dead letters: %w", err)
	}
	defer d.mu.Unlock()
	groups := make(accounts.Groups)
	for _, record := range d.sorted {
		if matches(record, query) {
			groups.Add(ports.DeadLetterGroup{
				Subscription: record.Subscription, Reason: record.group, Count: 1, Oldest: record.Since, Newest: record.Since,
			})
		}
	}
	return groups.Largest(), nil
}
