package porttest

import (
	"context"
	"errors"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

func checkOpenings(t testing.TB, c ChannelStates, want ...ports.Opening) {
	t.Helper()
	for _, states := range []ports.ChannelStates{c.States, c.Other} {
		got, err := states.Openings(bounded(t))
		must(t, "read openings", err)
		checkEqual(t, "openings", want, got)
	}
}

var channelStatesOpenings = []Clause[ChannelStates]{
	{"Open stores an opening for each channel and recipient, and changes none", func(t testing.TB, c ChannelStates) {
		checkOpenings(t, c)
		all := []ports.Opening{
			{Channel: "a.b$c", Recipient: `ware.house "$1"`, At: epoch.Add(time.Millisecond), Before: 1 << 40, Uncertain: 3},
			{Channel: channel},
			{Channel: channel, Recipient: domain.UserRecipient, At: epoch, Before: 7},
		}
		for _, i := range []int{2, 0, 1} {
			must(t, "open", c.States.Open(bounded(t), all[i]))
		}
		checkOpenings(t, c, all...)
		again := all[1]
		again.Before = 9
		if err := c.Other.Open(bounded(t), again); !errors.Is(err, ports.ErrExists) {
			t.Errorf("open a second time: error %v, want one that wraps %q", err, ports.ErrExists)
		}
		checkOpenings(t, c, all...)
	}},

	{"Forget removes the channel's openings, and no others", func(t testing.TB, c ChannelStates) {
		other := ports.Opening{Channel: channel + ".2", At: epoch}
		must(t, "register", errorOf(c.States.Register(bounded(t), channel)))
		for _, o := range []ports.Opening{{Channel: channel}, {Channel: channel, Recipient: domain.UserRecipient, Before: 7}, other} {
			must(t, "open", c.States.Open(bounded(t), o))
		}
		must(t, "forget", c.Other.Forget(bounded(t), channel))
		checkOpenings(t, c, other)
		must(t, "open again", c.States.Open(bounded(t), ports.Opening{Channel: channel, At: epoch, Before: 9}))
	}},

	{"Close removes one opening, which can be opened again", func(t testing.TB, c ChannelStates) {
		user, ware := ports.Opening{Channel: channel, Recipient: domain.UserRecipient, At: epoch}, ports.Opening{Channel: channel, Recipient: "ware.house", Before: 7}
		must(t, "open", c.States.Open(bounded(t), user))
		must(t, "open", c.States.Open(bounded(t), ware))
		must(t, "close", c.Other.Close(bounded(t), user.Channel, user.Recipient))
		must(t, "close what is closed", c.States.Close(bounded(t), user.Channel, user.Recipient))
		checkOpenings(t, c, ware)
		user.Before = 9
		must(t, "open again", c.States.Open(bounded(t), user))
	}},

	{"Close with an ended context changes nothing, and returns its error", func(t testing.TB, c ChannelStates) {
		opening := ports.Opening{Channel: channel, At: epoch}
		must(t, "open", c.States.Open(bounded(t), opening))
		checkEnded(t, "Close", func(ctx context.Context) error { return c.States.Close(ctx, channel, "") })
		checkOpenings(t, c, opening)
	}},

	{"Open and Openings with an ended context change nothing, and return its error", func(t testing.TB, c ChannelStates) {
		checkEnded(t, "Open", func(ctx context.Context) error { return c.States.Open(ctx, ports.Opening{Channel: channel, At: epoch}) })
		checkEnded(t, "Openings", func(ctx context.Context) error { return errorOf(c.States.Openings(ctx)) })
		checkOpenings(t, c)
	}},
}
