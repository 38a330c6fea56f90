package porttest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

func TestChannelStatesClauses(t *testing.T) {
	checkSuite(t, porttest.ChannelStatesClauses(), faultyStates(func(*faultyChannels) {}), slices.Concat(brokenNames(), brokenPauses(), brokenOpenings()))
}

// faultyChannels is a store of channel states with functions instead of methods. A
// row replaces one of them, and calls the store's own method through whole.
type faultyChannels struct {
	whole    *memory.ChannelStates
	register func(ctx context.Context, names ...string) ([]string, error)
	forget   func(ctx context.Context, name string) error
	pauses   func(ctx context.Context) ([]ports.Pause, error)
	pause    func(ctx context.Context, pause ports.Pause) error
	change   func(ctx context.Context, before, after ports.Pause) error
	end      func(ctx context.Context, before ports.Pause) error
	openings func(ctx context.Context) ([]ports.Opening, error)
	open     func(ctx context.Context, opening ports.Opening) error
	close    func(ctx context.Context, channel, recipient string) error
}

func (f *faultyChannels) Register(ctx context.Context, names ...string) ([]string, error) {
	return f.register(ctx, names...)
}

func (f *faultyChannels) Forget(ctx context.Context, name string) error { return f.forget(ctx, name) }

func (f *faultyChannels) Pauses(ctx context.Context) ([]ports.Pause, error) { return f.pauses(ctx) }

func (f *faultyChannels) Pause(ctx context.Context, pause ports.Pause) error {
	return f.pause(ctx, pause)
}

func (f *faultyChannels) Change(ctx context.Context, before, after ports.Pause) error {
	return f.change(ctx, before, after)
}

func (f *faultyChannels) End(ctx context.Context, before ports.Pause) error {
	return f.end(ctx, before)
}

func (f *faultyChannels) Openings(ctx context.Context) ([]ports.Opening, error) {
	return f.openings(ctx)
}

func (f *faultyChannels) Open(ctx context.Context, opening ports.Opening) error {
	return f.open(ctx, opening)
}

func (f *faultyChannels) Close(ctx context.Context, channel, recipient string) error {
	return f.close(ctx, channel, recipient)
}

// faultyStates makes a store of channel states that breakIt breaks.
func faultyStates(breakIt func(f *faultyChannels)) func() porttest.ChannelStates {
	return func() porttest.ChannelStates {
		whole := new(memory.ChannelStates)
		f := &faultyChannels{whole, whole.Register, whole.Forget, whole.Pauses, whole.Pause, whole.Change, whole.End, whole.Openings, whole.Open, whole.Close}
		breakIt(f)
		return porttest.ChannelStates{States: f, Other: f}
	}
}

// stored returns the stored pause with the key.
func (f *faultyChannels) stored(ctx context.Context, key domain.PauseKey) (ports.Pause, bool) {
	all, _ := f.whole.Pauses(ctx)
	i := slices.IndexFunc(all, func(p ports.Pause) bool { return p.PauseKey == key })
	if i < 0 {
		return ports.Pause{}, false
	}
	return all[i], true
}

func brokenNames() []broken[porttest.ChannelStates] {
	const (
		adds    = "Register adds channels, and returns all known ones, sorted"
		callers = "Register by many callers keeps every channel"
		forgets = "Forget removes a channel from the known ones, and no other"
		ended   = "Register and Forget with an ended context change nothing"
	)
	registering := func(change func(all, names []string) []string) func() porttest.ChannelStates {
		return faultyStates(func(f *faultyChannels) {
			f.register = func(ctx context.Context, names ...string) ([]string, error) {
				all, err := f.whole.Register(ctx, names...)
				if err == nil {
					all = change(all, names)
				}
				return all, err
			}
		})
	}
	return []broken[porttest.ChannelStates]{
		{"Register sorts names in any case", adds, "another clause registers names that differ in case", registering(func(all, _ []string) []string {
			slices.SortFunc(all, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
			return all
		})},
		{"Register returns what it has added", adds, "every clause that reads the names", registering(func(_, names []string) []string { return names })},

		{"Register looks, and then writes", callers, "", faultyStates(func(f *faultyChannels) {
			var stored shared[string, []string]
			f.register = func(ctx context.Context, names ...string) ([]string, error) {
				if ctx.Err() != nil {
					return nil, ctx.Err()
				}
				before, _ := stored.get("")
				time.Sleep(time.Millisecond)
				all := slices.Concat(before, names)
				slices.Sort(all)
				all = slices.Compact(all)
				stored.set("", all)
				return all, nil
			}
			f.forget = func(ctx context.Context, name string) error {
				before, _ := stored.get("")
				if ctx.Err() == nil {
					stored.set("", slices.DeleteFunc(slices.Clone(before), func(n string) bool { return n == name }))
				}
				return f.whole.Forget(ctx, name) // of the openings
			}
		})},
		{"Forget of an unknown channel fails", forgets, "", faultyStates(func(f *faultyChannels) {
			f.forget = func(ctx context.Context, name string) error {
				if all, err := f.whole.Register(ctx); err == nil && !slices.Contains(all, name) {
					return fmt.Errorf("forget channel %s: %w", name, ports.ErrNotFound)
				}
				return f.whole.Forget(ctx, name)
			}
		})},
		{"Forget forgets channels in any case", forgets, "", faultyStates(func(f *faultyChannels) {
			f.forget = func(ctx context.Context, name string) error {
				return errors.Join(f.whole.Forget(ctx, name), f.whole.Forget(ctx, strings.ToUpper(name[:1])+name[1:]))
			}
		})},
		{"Register registers and then fails on an ended context", ended, "", faultyStates(func(f *faultyChannels) { checkContextLast(&f.register) })},
		{"Forget forgets a channel and then fails on an ended context", ended, "", faultyStates(func(f *faultyChannels) { checkContextLast(&f.forget) })},
	}
}

func brokenPauses() []broken[porttest.ChannelStates] {
	const (
		returns = "Pauses returns every pause as it was stored, by channel, then by receiver"
		exists  = "Pause of what is paused returns ErrExists, and changes nothing"
		pausers = "Pause by many callers succeeds for one of them"
		changes = "Change replaces a pause by another with its key"
		changed = "Change of a pause that is not the same any more, or was ended, returns ErrChanged"
		callers = "Change by many callers succeeds for one of them"
		ends    = "End removes a pause, and no other; what it ended can be paused again"
		late    = "End of a pause that is not the same any more returns ErrChanged, and changes nothing"
		ended   = "the methods for pauses with an ended context change nothing"
		every   = "every clause that reads pauses"
		several = "every clause that reads several pauses"
	)
	reading := func(change func(all []ports.Pause) []ports.Pause) func() porttest.ChannelStates {
		return faultyStates(func(f *faultyChannels) {
			f.pauses = func(ctx context.Context) ([]ports.Pause, error) {
				all, err := f.whole.Pauses(ctx)
				return change(all), err
			}
		})
	}
	return []broken[porttest.ChannelStates]{
		{"a pause loses its probe", returns, every, reading(func(all []ports.Pause) []ports.Pause {
			for i := range all {
				all[i].Probe = time.Time{}
			}
			return all
		})},
		{"a pause's reason is cut at 256 bytes", returns, "another clause reads the same pauses", reading(func(all []ports.Pause) []ports.Pause {
			for i := range all {
				all[i].Reason = all[i].Reason[:min(len(all[i].Reason), 256)]
			}
			return all
		})},
		{"Pauses sorts by receiver", returns, several, reading(func(all []ports.Pause) []ports.Pause {
			slices.SortStableFunc(all, func(a, b ports.Pause) int { return strings.Compare(b.Receiver, a.Receiver) })
			return all
		})},
		{"a channel has one pause", returns, several, faultyStates(func(f *faultyChannels) {
			f.pause = func(ctx context.Context, pause ports.Pause) error {
				all, _ := f.whole.Pauses(ctx)
				if slices.ContainsFunc(all, func(p ports.Pause) bool { return p.Channel == pause.Channel }) {
					return fmt.Errorf("pause %s: %w", pause.Channel, ports.ErrExists)
				}
				return f.whole.Pause(ctx, pause)
			}
		})},
		{"Pause replaces a pause, and returns ErrExists", exists, "", faultyStates(func(f *faultyChannels) {
			f.pause = func(ctx context.Context, pause ports.Pause) error {
				err := f.whole.Pause(ctx, pause)
				if before, ok := f.stored(ctx, pause.PauseKey); ok && errors.Is(err, ports.ErrExists) && strings.HasSuffix(pause.Reason, ".") {
					return errors.Join(err, f.whole.Change(ctx, before, pause))
				}
				return err
			}
		})},
		{"Pause of what is paused returns nil", exists, "many callers pause one receiver", faultyStates(func(f *faultyChannels) {
			f.pause = func(ctx context.Context, pause ports.Pause) error {
				if err := f.whole.Pause(ctx, pause); !errors.Is(err, ports.ErrExists) {
					return err
				}
				return nil
			}
		})},
		{"Pause looks, and then writes", pausers, "", faultyStates(func(f *faultyChannels) {
			f.pause = func(ctx context.Context, pause ports.Pause) error {
				if _, ok := f.stored(ctx, pause.PauseKey); ok || ctx.Err() != nil {
					return f.whole.Pause(ctx, pause)
				}
				time.Sleep(time.Millisecond)
				if err := f.whole.Pause(ctx, pause); !errors.Is(err, ports.ErrExists) {
					return err
				}
				return nil
			}
		})},
		{"Change leaves the reason", changes, "many callers change a pause", faultyStates(func(f *faultyChannels) {
			f.change = func(ctx context.Context, before, after ports.Pause) error {
				after.Reason = before.Reason
				return f.whole.Change(ctx, before, after)
			}
		})},
		{"Change fails if nothing changes", changes, "", faultyStates(func(f *faultyChannels) {
			f.change = func(ctx context.Context, before, after ports.Pause) error {
				if before == after {
					return fmt.Errorf("change the pause of %s: %w", before.Channel, ports.ErrChanged)
				}
				return f.whole.Change(ctx, before, after)
			}
		})},
		{"Change compares kinds and times alone", changed, "", faultyStates(func(f *faultyChannels) {
			f.change = func(ctx context.Context, before, after ports.Pause) error {
				if stored, ok := f.stored(ctx, before.PauseKey); ok && stored.Kind == before.Kind && stored.Since == before.Since && stored.Probe == before.Probe && stored.Probes == before.Probes {
					before = stored
				}
				return f.whole.Change(ctx, before, after)
			}
		})},
		{"Change of a pause that was ended stores it", changed, "", faultyStates(func(f *faultyChannels) {
			f.change = func(ctx context.Context, before, after ports.Pause) error {
				if _, ok := f.stored(ctx, before.PauseKey); !ok {
					return f.whole.Pause(ctx, after)
				}
				return f.whole.Change(ctx, before, after)
			}
		})},
		{"Change looks, and then writes", callers, "", faultyStates(func(f *faultyChannels) {
			f.change = func(ctx context.Context, before, after ports.Pause) error {
				if stored, ok := f.stored(ctx, before.PauseKey); !ok || stored != before {
					return f.whole.Change(ctx, before, after)
				}
				time.Sleep(time.Millisecond)
				stored, _ := f.stored(ctx, before.PauseKey)
				return f.whole.Change(ctx, stored, after)
			}
		})},
		{"End of a channel's pause ends its receivers', too", ends, "", faultyStates(func(f *faultyChannels) {
			f.end = func(ctx context.Context, before ports.Pause) error {
				all, _ := f.whole.Pauses(ctx)
				err := f.whole.End(ctx, before)
				for _, p := range all {
					if err == nil && before.Receiver == "" && p.Channel == before.Channel {
						err = f.whole.End(ctx, p)
					}
				}
				return err
			}
		})},
		{"End of what is not paused fails", ends, "", faultyStates(func(f *faultyChannels) {
			f.end = func(ctx context.Context, before ports.Pause) error {
				if _, ok := f.stored(ctx, before.PauseKey); !ok && ctx.Err() == nil {
					return fmt.Errorf("end the pause of %s: %w", before.Channel, ports.ErrNotFound)
				}
				return f.whole.End(ctx, before)
			}
		})},
		{"End ignores changes of the pause", late, "", faultyStates(func(f *faultyChannels) {
			f.end = func(ctx context.Context, before ports.Pause) error {
				if stored, ok := f.stored(ctx, before.PauseKey); ok {
					before = stored
				}
				return f.whole.End(ctx, before)
			}
		})},
		{"Pauses ignores its context", ended, "", faultyStates(func(f *faultyChannels) { ignoreContext(&f.pauses) })},
		{"Pause pauses and then fails on an ended context", ended, "", faultyStates(func(f *faultyChannels) { checkContextLast(&f.pause) })},
		{"Change changes and then fails on an ended context", ended, "", faultyStates(func(f *faultyChannels) { checkContextLast(&f.change) })},
		{"End ends and then fails on an ended context", ended, "", faultyStates(func(f *faultyChannels) { checkContextLast(&f.end) })},
	}
}
