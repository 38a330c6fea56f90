package porttest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// nthPause returns a pause of the channel's receiver.
func nthPause(channel, receiver string, n int) ports.Pause {
	return ports.Pause{
		PauseKey: domain.PauseKey{Channel: channel, Receiver: receiver},
		Kind:     []ports.PauseKind{ports.Manual, ports.Breaker, ports.Off, ports.Draining}[n%4],
		Reason:   fmt.Sprint("reason ", n),
		By:       []string{"", "somebody@somewhere"}[n%2],
		Since:    epoch.Add(time.Duration(n)*time.Second + 123*time.Millisecond),
		Probe:    epoch.Add(time.Duration(n)*time.Minute + 456*time.Millisecond),
		Probes:   n,
	}
}

// hardPauses returns pauses that a server easily changes when it stores or returns
// them, in the order of Pauses.
func hardPauses() []ports.Pause {
	keys := []domain.PauseKey{
		{Channel: "$set"}, {Channel: "$set", Receiver: "$x"}, {Channel: "Mail"}, {Channel: "a", Receiver: "b.c"}, {Channel: "a.b", Receiver: "c"},
		{Channel: "ab"}, {Channel: "mail"}, {Channel: "mail", Receiver: "Receiver"}, {Channel: "mail", Receiver: "example.com#1"},
		{Channel: "mail", Receiver: "example.com#2"}, {Channel: "mail", Receiver: strings.Repeat("x", 128)}, {Channel: "mail", Receiver: "\u00e4"},
		{Channel: "mail2"},
	}
	var all []ports.Pause
	for n, key := range keys {
		all = append(all, nthPause(key.Channel, key.Receiver, n))
	}
	all[0] = ports.Pause{PauseKey: keys[0], Kind: ports.Manual, Since: epoch}
	all[1].Reason, all[1].By = "a\u0308 $1 .* \\ \"\n\x00"+strings.Repeat("\u754c", 1000), "\U0001F6D2"
	all[2].Probe, all[2].Probes = time.Date(2299, 12, 31, 23, 59, 59, 999_000_000, time.UTC), 1_000_000
	return all
}

func pauseAll(t testing.TB, states ports.ChannelStates, pauses ...ports.Pause) {
	t.Helper()
	forEach(t, pauses, func(ctx context.Context, pause ports.Pause) error {
		if err := states.Pause(ctx, pause); err != nil {
			return fmt.Errorf("pause %+v: %w", pause.PauseKey, err)
		}
		return nil
	})
}

// checkPauses fails t unless both processes have these pauses, in this order.
func checkPauses(t testing.TB, s ChannelStates, want ...ports.Pause) {
	t.Helper()
	for _, states := range []ports.ChannelStates{s.States, s.Other} {
		got, err := states.Pauses(bounded(t))
		must(t, "read the pauses", err)
		checkEqual(t, "pauses", want, got)
	}
}

// register fails t unless these names are known after names were registered.
func register(t testing.TB, states ports.ChannelStates, names []string, want ...string) {
	t.Helper()
	got, err := states.Register(bounded(t), names...)
	must(t, fmt.Sprintf("register the channels %q", names), err)
	checkEqual(t, fmt.Sprintf("known channels after those of %q", names), want, got)
}

var channelStatesNames = []Clause[ChannelStates]{
	{"Register adds channels, and returns all known ones, sorted", func(t testing.TB, s ChannelStates) {
		register(t, s.States, nil)
		register(t, s.States, []string{"webhook", "email"}, "email", "webhook")
		register(t, s.Other, []string{"email"}, "email", "webhook")
		odd := []string{"$set", "a.b", "Email", "\u00e4", "_id", "a", "mail|x"}
		register(t, s.Other, odd, slices.Sorted(slices.Values(append(odd, "email", "webhook")))...)
		register(t, s.States, nil, slices.Sorted(slices.Values(append(odd, "email", "webhook")))...)
	}},

	{"Register by many callers keeps every channel", func(t testing.TB, s ChannelStates) {
		var all []string
		for n := range 16 {
			all = append(all, fmt.Sprint("channel", n))
		}
		ctx := bounded(t)
		together(2*len(all), func(i int) {
			names := []string{all[i%len(all)], all[(i+1)%len(all)]}
			known, err := either(i, s.States, s.Other).Register(ctx, names...)
			if err != nil || !slices.Contains(known, names[0]) || !slices.Contains(known, names[1]) {
				t.Errorf("register %q during other calls: %q and error %v, want both and no error", names, known, err)
			}
		})
		slices.Sort(all)
		register(t, s.States, nil, all...)
	}},

	{"Forget removes a channel from the known ones, and no other", func(t testing.TB, s ChannelStates) {
		register(t, s.States, []string{"email", "sms", "Sms", "webhook"}, "Sms", "email", "sms", "webhook")
		for range 2 {
			for _, name := range []string{"sms", "unknown"} {
				must(t, "forget channel "+name, s.Other.Forget(bounded(t), name))
			}
			register(t, s.States, nil, "Sms", "email", "webhook")
		}
		register(t, s.Other, []string{"sms"}, "Sms", "email", "sms", "webhook")
	}},

	{"Register and Forget with an ended context change nothing", func(t testing.TB, s ChannelStates) {
		register(t, s.States, []string{"email"}, "email")
		checkEnded(t, "Register", func(ctx context.Context) error { return errorOf(s.States.Register(ctx, "sms")) })
		checkEnded(t, "Forget", func(ctx context.Context) error { return s.States.Forget(ctx, "email") })
		register(t, s.Other, nil, "email")
	}},
}

// unlike returns pauses with the key that differ from the pause in one field.
func unlike(pause ports.Pause) []ports.Pause {
	all := []ports.Pause{pause, pause, pause, pause, pause, pause}
	all[0].Kind = ports.PauseKind("not " + pause.Kind)
	all[1].Reason += "."
	all[2].By += "."
	all[3].Since = pause.Since.Add(time.Millisecond)
	all[4].Probe = pause.Probe.Add(time.Millisecond)
	all[5].Probes++
	return all
}

var channelStatesPauses = []Clause[ChannelStates]{
	{"Pauses returns every pause as it was stored, by channel, then by receiver", func(t testing.TB, s ChannelStates) {
		checkPauses(t, s)
		all := hardPauses()
		pauseAll(t, s.States, all[5:]...)
		pauseAll(t, s.Other, all[:5]...)
		checkPauses(t, s, all...)
	}},

	{"Pause of what is paused returns ErrExists, and changes nothing", func(t testing.TB, s ChannelStates) {
		stored, other := nthPause("mail", "receiver", 1), nthPause("mail", "", 2)
		pauseAll(t, s.States, stored, other)
		for _, again := range append(unlike(stored), stored) {
			if err := s.Other.Pause(bounded(t), again); !wraps(err, ports.ErrExists, "mail") {
				t.Errorf("pause what is paused: error %v, want an error that wraps %q and names the channel", err, ports.ErrExists)
			}
		}
		checkPauses(t, s, other, stored)
	}},

	{"Pause by many callers succeeds for one of them", func(t testing.TB, s ChannelStates) {
		candidates := make([]ports.Pause, 16)
		for n := range candidates {
			candidates[n] = nthPause("mail", "receiver", n)
		}
		winner, fault := onlyOne(t, "pause one receiver", len(candidates), ports.ErrExists, func(ctx context.Context, i int) error {
			return either(i, s.States, s.Other).Pause(ctx, candidates[i])
		})
		if fault != "" {
			t.Fatal(fault)
		}
		checkPauses(t, s, candidates[winner])
	}},

	{"Change replaces a pause by another with its key", func(t testing.TB, s ChannelStates) {
		others := []ports.Pause{nthPause("mail", "", 1), nthPause("mail", "receiver2", 1)}
		now := nthPause("mail", "receiver", 1)
		pauseAll(t, s.States, append(others, now)...)
		bare := ports.Pause{PauseKey: now.PauseKey, Kind: ports.Draining, Since: epoch}
		for _, after := range append(unlike(now), nthPause("mail", "receiver", 2), bare, bare, now) {
			must(t, "change a pause", s.Other.Change(bounded(t), now, after))
			checkPauses(t, s, others[0], after, others[1])
			now = after
		}
	}},

	{"Change of a pause that is not the same any more, or was ended, returns ErrChanged", func(t testing.TB, s ChannelStates) {
		stored, other, after := nthPause("mail", "receiver", 1), nthPause("mail", "", 1), nthPause("mail", "receiver", 9)
		pauseAll(t, s.States, stored, other)
		for _, before := range unlike(stored) {
			if err := s.Other.Change(bounded(t), before, after); !wraps(err, ports.ErrChanged, "mail") {
				t.Errorf("change a pause that is not the same: error %v, want an error that wraps %q and names the channel", err, ports.ErrChanged)
			}
			checkPauses(t, s, other, stored)
		}
		must(t, "end the pause", s.States.End(bounded(t), stored))
		if err := s.Other.Change(bounded(t), stored, after); !wraps(err, ports.ErrChanged, "mail") {
			t.Errorf("change a pause that was ended: error %v, want an error that wraps %q and names the channel", err, ports.ErrChanged)
		}
		checkPauses(t, s, other)
	}},

	{"Change by many callers succeeds for one of them", func(t testing.TB, s ChannelStates) {
		now := nthPause("mail", "receiver", 0)
		pauseAll(t, s.States, now)
		for round := range 4 {
			after := make([]ports.Pause, 16)
			for n := range after {
				after[n] = nthPause("mail", "receiver", 100*round+n+1)
			}
			winner, fault := onlyOne(t, "change one pause", len(after), ports.ErrChanged, func(ctx context.Context, i int) error {
				return either(i, s.States, s.Other).Change(ctx, now, after[i])
			})
			if fault != "" {
				t.Fatal(fault)
			}
			now = after[winner]
			checkPauses(t, s, now)
		}
	}},

	{"End removes a pause, and no other; what it ended can be paused again", func(t testing.TB, s ChannelStates) {
		all := hardPauses()
		pauseAll(t, s.States, all...)
		for n := range all {
			for range 2 { // nothing is paused the second time
				must(t, fmt.Sprintf("end the pause of %+v", all[n].PauseKey), s.Other.End(bounded(t), all[n]))
			}
			checkPauses(t, s, all[n+1:]...)
		}
		pauseAll(t, s.States, all...)
		checkPauses(t, s, all...)
	}},

	{"End of a pause that is not the same any more returns ErrChanged, and changes nothing", func(t testing.TB, s ChannelStates) {
		stored, other := nthPause("mail", "receiver", 1), nthPause("mail", "", 1)
		pauseAll(t, s.States, stored, other)
		for _, before := range unlike(stored) {
			if err := s.Other.End(bounded(t), before); !wraps(err, ports.ErrChanged, "mail") {
				t.Errorf("end a pause that is not the same: error %v, want an error that wraps %q and names the channel", err, ports.ErrChanged)
			}
			checkPauses(t, s, other, stored)
		}
	}},

	{"the methods for pauses with an ended context change nothing", func(t testing.TB, s ChannelStates) {
		stored, new := nthPause("mail", "", 1), nthPause("mail", "receiver", 2)
		pauseAll(t, s.States, stored)
		for method, call := range map[string]func(ctx context.Context) error{
			"Pauses": func(ctx context.Context) error { return errorOf(s.States.Pauses(ctx)) },
			"Pause":  func(ctx context.Context) error { return s.States.Pause(ctx, new) },
			"Change": func(ctx context.Context) error { return s.States.Change(ctx, stored, nthPause("mail", "", 3)) },
			"End":    func(ctx context.Context) error { return s.States.End(ctx, stored) },
		} {
			checkEnded(t, method, call)
			checkPauses(t, s, stored)
		}
	}},
}
