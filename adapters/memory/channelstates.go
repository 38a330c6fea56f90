package memory

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// ChannelStates keeps the notifiers' channels and their pauses.
type ChannelStates struct {
	mu     sync.Mutex
	names  map[string]bool
	pauses map[domain.PauseKey]ports.Pause

	openings map[recipient]ports.Opening
}

var _ ports.ChannelStates = (*ChannelStates)(nil)

// Register adds the channels, and returns all names.
func (c *ChannelStates) Register(ctx context.Context, names ...string) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("register channels: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.names == nil {
		c.names = make(map[string]bool)
	}
	for _, name := range names {
		c.names[name] = true
	}
	return slices.Sorted(maps.Keys(c.names)), nil
}

// Forget removes the name.
func (c *ChannelStates) Forget(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("forget channel %s: %w", name, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.names, name)
	maps.DeleteFunc(c.openings, func(key recipient, _ ports.Opening) bool { return key.channel == name })
	return nil
}

// Pauses returns all pauses.
func (c *ChannelStates) Pauses(ctx context.Context) ([]ports.Pause, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("read pauses: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.SortedFunc(maps.Values(c.pauses), func(a, b ports.Pause) int {
		return cmp.Or(cmp.Compare(a.Channel, b.Channel), cmp.Compare(a.Receiver, b.Receiver))
	}), nil
}

// Pause stores the pause.
func (c *ChannelStates) Pause(ctx context.Context, pause ports.Pause) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("pause %s: %w", name(pause), err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.pauses[pause.PauseKey]; ok {
		return fmt.Errorf("pause %s: %w", name(pause), ports.ErrExists)
	}
	if c.pauses == nil {
		c.pauses = make(map[domain.PauseKey]ports.Pause)
	}
	c.pauses[pause.PauseKey] = pause
	return nil
}

// Change replaces the pause.
func (c *ChannelStates) Change(ctx context.Context, before, after ports.Pause) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("change the pause of %s: %w", name(before), err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if stored, ok := c.pauses[before.PauseKey]; !ok || !samePause(stored, before) {
		return fmt.Errorf("change the pause of %s: %w", name(before), ports.ErrChanged)
	}
	c.pauses[before.PauseKey] = after
	return nil
}

// End removes the pause.
func (c *ChannelStates) End(ctx context.Context, before ports.Pause) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("end the pause of %s: %w", name(before), err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	stored, ok := c.pauses[before.PauseKey]
	if ok && !samePause(stored, before) {
		return fmt.Errorf("end the pause of %s: %w", name(before), ports.ErrChanged)
	}
	delete(c.pauses, before.PauseKey)
	return nil
}

// Openings returns all openings.
func (c *ChannelStates) Openings(ctx context.Context) ([]ports.Opening, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("read openings: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.SortedFunc(maps.Values(c.openings), func(a, b ports.Opening) int {
		return cmp.Or(cmp.Compare(a.Channel, b.Channel), cmp.Compare(a.Recipient, b.Recipient))
	}), nil
}

// Open stores the opening.
func (c *ChannelStates) Open(ctx context.Context, opening ports.Opening) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("open %s %s: %w", opening.Channel, opening.Recipient, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	key := recipient{opening.Channel, opening.Recipient}
	if _, ok := c.openings[key]; ok {
		return fmt.Errorf("open %s %s: %w", opening.Channel, opening.Recipient, ports.ErrExists)
	}
	if c.openings == nil {
		c.openings = make(map[recipient]ports.Opening)
	}
	c.openings[key] = opening
	return nil
}

func samePause(a, b ports.Pause) bool {
	sameTimes := a.Since.Equal(b.Since) && a.Probe.Equal(b.Probe)
	a.Since, a.Probe = b.Since, b.Probe
	return sameTimes && a == b
}

func name(p ports.Pause) string {
	if p.Receiver == "" {
		return p.Channel
	}
	return p.Channel + " " + p.Receiver
}

// Close removes the opening.
func (c *ChannelStates) Close(ctx context.Context, channel, name string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("close %s %s: %w", channel, name, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.openings, recipient{channel, name})
	return nil
}
