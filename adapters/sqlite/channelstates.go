package sqlite

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// ChannelStates keeps channels and their pauses. Both are few.
type ChannelStates struct{ store *Store }

var _ ports.ChannelStates = (*ChannelStates)(nil)

// ChannelStates returns the part.
func (s *Store) ChannelStates() *ChannelStates { return &s.parts.states }

// Register adds the channels. See [ports.ChannelStates]. It writes only if one is new.
func (c *ChannelStates) Register(ctx context.Context, names ...string) (all []string, err error) {
	defer describe(&err, "register channels %s", strings.Join(names, ", "))
	if all, err = c.names(ctx); err != nil {
		return nil, err
	}
	missing := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		_, known := slices.BinarySearch(all, name)
		return known
	})
	if len(missing) == 0 {
		return all, nil
	}
	err = c.store.write(ctx, durable, func(tx *tx) error {
		for _, name := range missing {
			if _, err := tx.exec("INSERT INTO channels (name) VALUES (?) ON CONFLICT DO NOTHING", name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return c.names(ctx)
}

func (c *ChannelStates) names(ctx context.Context) (names []string, err error) {
	err = c.store.read(ctx, func(tx *tx) error {
		return tx.query(func(r row) bool {
			names = append(names, r.ColumnText(0))
			return true
		}, "SELECT name FROM channels ORDER BY name")
	})
	return names, err
}

// Forget removes the name. See [ports.ChannelStates].
func (c *ChannelStates) Forget(ctx context.Context, name string) (err error) {
	defer describe(&err, "forget channel %s", name)
	return c.store.write(ctx, durable, func(tx *tx) error {
		if _, err := tx.exec("DELETE FROM openings WHERE channel = ?", name); err != nil {
			return err
		}
		_, err := tx.exec("DELETE FROM channels WHERE name = ?", name)
		return err
	})
}

// Pauses returns all pauses. See [ports.ChannelStates]. It skips and logs rows that it
// can't read.
func (c *ChannelStates) Pauses(ctx context.Context) (pauses []ports.Pause, err error) {
	defer describe(&err, "read pauses")
	var unreadable skipped
	err = c.store.read(ctx, func(tx *tx) error {
		return tx.query(func(r row) bool {
			if pause, err := readPause(r); err != nil {
				unreadable.add(err)
			} else {
				pauses = append(pauses, pause)
			}
			return true
		}, "SELECT channel, receiver, kind, reason, by, since, probe, probes FROM pauses ORDER BY channel, receiver")
	})
	if err != nil {
		return nil, err
	}
	unreadable.log(ctx, c.store.options.Logger, "pauses")
	return pauses, nil
}

func readPause(r row) (ports.Pause, error) {
	p := ports.Pause{
		PauseKey: domain.PauseKey{Channel: r.ColumnText(0), Receiver: r.ColumnText(1)},
		Kind:     ports.PauseKind(r.ColumnText(2)), Reason: r.ColumnText(3), By: r.ColumnText(4), Probes: r.ColumnInt(7),
	}
	fields := record{row: r, id: p.Channel + " " + p.Receiver}
	p.Since, p.Probe = fields.date(5, "since"), fields.date(6, "probe")
	if fields.err != nil {
		return ports.Pause{}, fields.err
	}
	return p, nil
}

// columns returns the pause as a row.
func columns(p ports.Pause) []any {
	return []any{p.Channel, p.Receiver, string(p.Kind), p.Reason, p.By, p.Since.UnixMilli(), p.Probe, p.Probes}
}

const (
	isPause = "channel = ? AND receiver = ?"

	// isSamePause has the parameters of columns.
	isSamePause = isPause + " AND kind = ? AND reason = ? AND by = ? AND since = ? AND probe IS ? AND probes = ?"
)

// Pause stores the pause. See [ports.ChannelStates].
func (c *ChannelStates) Pause(ctx context.Context, pause ports.Pause) (err error) {
	defer describe(&err, "pause %s %s", pause.Channel, pause.Receiver)
	return c.store.write(ctx, durable, func(tx *tx) error {
		added, err := tx.exec("INSERT INTO pauses (channel, receiver, kind, reason, by, since, probe, probes) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
			columns(pause)...)
		if err == nil && added == 0 {
			err = ports.ErrExists
		}
		return err
	})
}

// Change replaces a pause. See [ports.ChannelStates].
func (c *ChannelStates) Change(ctx context.Context, before, after ports.Pause) (err error) {
	defer describe(&err, "change the pause of %s %s", before.Channel, before.Receiver)
	if before.PauseKey != after.PauseKey {
		return fmt.Errorf("the new pause is of %s %s", after.Channel, after.Receiver)
	}
	args := slices.Concat(columns(after)[2:], columns(before))
	return c.store.write(ctx, durable, func(tx *tx) error {
		changed, err := tx.exec("UPDATE pauses SET kind = ?, reason = ?, by = ?, since = ?, probe = ?, probes = ? WHERE "+isSamePause, args...)
		if err == nil && changed == 0 {
			err = ports.ErrChanged
		}
		return err
	})
}

// End removes the pause. See [ports.ChannelStates].
func (c *ChannelStates) End(ctx context.Context, before ports.Pause) (err error) {
	defer describe(&err, "end the pause of %s %s", before.Channel, before.Receiver)
	return c.store.write(ctx, durable, func(tx *tx) error {
		ended, err := tx.exec("DELETE FROM pauses WHERE "+isSamePause, columns(before)...)
		if err != nil || ended > 0 {
			return err
		}
		exists := false
		err = tx.query(func(row) bool { exists = true; return false }, "SELECT 1 FROM pauses WHERE "+isPause, before.Channel, before.Receiver)
		if err == nil && exists {
			err = ports.ErrChanged
		}
		return err
	})
}
