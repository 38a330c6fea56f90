package notification

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/actions"
	"example.com/orderflow/services/internal/mask"
	"example.com/orderflow/services/internal/wiring"
)

// Control has the operators' use cases. It needs no running service: it changes the
// store, and all notifiers read the changes.
type Control struct {
	store    Store
	channels []ChannelInfo // by name
	journal  *actions.Journal
	log      *slog.Logger
}

// Store is the parts of a store that operators work on.
type Store struct {
	Deliveries  ports.DeliveryLog
	States      ports.ChannelStates
	Contacts    ports.Contacts
	DeadLetters ports.DeadLetters
	Actions     ports.OperatorActions // what operators do, written before it is done
}

// ChannelInfo is a configured channel.
type ChannelInfo struct {
	Name      string
	Kind      string                 // such as "smtp"
	Addressed ports.AddressedChannel // checks addresses; nil if the channel has none
	Endpoints []Endpoint             // as in its [Route]: operators may name one instead of its receiver
	Pinger    ports.Pinger           // the service is ready only while it answers; may be nil

	// For tests, as in the channel's [Route].
	Sender   ports.Channel // nil: no tests can be sent
	Renderer Renderer
}

// NewControl returns an error if a part of the store is nil, if two channels have the
// same name, or if a channel with addresses is named as a column of contacts is. If
// log is nil, Control uses slog.Default().
func NewControl(store Store, channels []ChannelInfo, log *slog.Logger) (*Control, error) {
	const what = "notification control"
	if err := wiring.Check(what,
		wiring.Part{Name: "a delivery log", Given: store.Deliveries},
		wiring.Part{Name: "channel states", Given: store.States},
		wiring.Part{Name: "contacts", Given: store.Contacts},
		wiring.Part{Name: "dead letters", Given: store.DeadLetters},
	); err != nil {
		return nil, err
	}
	journal, err := actions.NewJournal(store.Actions, log)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	channels = slices.Clone(channels)
	slices.SortFunc(channels, func(a, b ChannelInfo) int { return strings.Compare(a.Name, b.Name) })
	for i, channel := range channels {
		if i > 0 && channels[i-1].Name == channel.Name {
			return nil, fmt.Errorf("%s: two channels are named %q", what, channel.Name)
		}
		if channel.Addressed != nil && slices.Contains(otherColumns, channel.Name) {
			return nil, fmt.Errorf("%s: no channel with addresses can be named %q, because files of contacts have a column with this name",
				what, channel.Name)
		}
	}
	return &Control{store: store, channels: channels, journal: journal, log: wiring.Logger(log)}, nil
}

// channel returns the configured channel with the name, or nil.
func (c *Control) channel(name string) *ChannelInfo {
	for i := range c.channels {
		if c.channels[i].Name == name {
			return &c.channels[i]
		}
	}
	return nil
}

// receiverOf returns the key with the receiver's name in the place of its endpoint's.
func (c *Control) receiverOf(key domain.PauseKey) domain.PauseKey {
	if channel := c.channel(key.Channel); channel != nil && channel.Addressed != nil {
		for _, endpoint := range channel.Endpoints {
			if endpoint.Name == key.Receiver {
				key.Receiver = channel.Addressed.Receiver(endpoint.Address)
			}
		}
	}
	return key
}

// ChannelStatus is a channel with its pauses.
type ChannelStatus struct {
	ChannelInfo               // only the name is known of a channel that is not configured
	Configured  bool          // false: some notifier had the channel once
	Pauses      []ports.Pause // of the whole channel first, then of receivers
}

// Channels returns all channels that are or were configured, by name.
func (c *Control) Channels(ctx context.Context) ([]ChannelStatus, error) {
	known, err := c.store.States.Register(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the known channels: %w", err)
	}
	pauses, err := c.store.States.Pauses(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the pauses: %w", err)
	}
	byName := make(map[string]*ChannelStatus)
	for _, channel := range c.channels {
		byName[channel.Name] = &ChannelStatus{ChannelInfo: channel, Configured: true}
	}
	status := func(name string) *ChannelStatus {
		if byName[name] == nil {
			byName[name] = &ChannelStatus{ChannelInfo: ChannelInfo{Name: name}}
		}
		return byName[name]
	}
	for _, name := range known {
		status(name)
	}
	for _, pause := range pauses {
		s := status(pause.Channel)
		s.Pauses = append(s.Pauses, pause)
	}
	all := make([]ChannelStatus, 0, len(byName))
	for _, s := range byName {
		all = append(all, *s)
	}
	slices.SortFunc(all, func(a, b ChannelStatus) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

var (
	// ErrUnknownChannel is returned when no notifier has or had the channel.
	ErrUnknownChannel = errors.New("no such channel")

	// ErrPaused is returned when the channel or receiver is paused or switched off
	// already.
	ErrPaused = errors.New("paused already")

	// ErrNotPaused is returned when the channel or receiver is not paused, or was
	// resumed already.
	ErrNotPaused = errors.New("not paused")

	// ErrInUse is returned when a channel can't be forgotten yet.
	ErrInUse = errors.New("in use")
)

// Pause pauses the channel or one of its receivers until somebody resumes it. It
// replaces a breaker's pause, and one that is being drained. It returns the pause that
// is stored, also with [ErrPaused]. The receiver may be the name of an endpoint.
// [*domain.InvalidError] is returned when receiver or reason is wrong; both may be empty.
func (c *Control) Pause(ctx context.Context, key domain.PauseKey, reason, by string) (ports.Pause, error) {
	var invalid domain.InvalidError
	if key.Receiver != "" && !isReceiver(key.Receiver) {
		invalid.Fields = append(invalid.Fields, domain.FieldError{Field: "receiver", Reason: mustBeReceiver})
	}
	if reason != "" && !isPauseReason(reason) {
		invalid.Fields = append(invalid.Fields, domain.FieldError{Field: "reason", Reason: mustBePauseReason})
	}
	if len(invalid.Fields) > 0 {
		return ports.Pause{}, &invalid
	}
	if err := c.checkKnown(ctx, key.Channel); err != nil {
		return ports.Pause{}, err
	}
	key = c.receiverOf(key)
	pause := ports.Pause{PauseKey: key, Kind: ports.Manual, Reason: reason, By: by, Since: now()}
	entry := actions.Entry{Action: actions.Pause, By: by, Target: keyText(key), Reason: reason}
	err := c.doOne(ctx, entry, untilUnchanged(func() error {
		err := c.store.States.Pause(ctx, pause)
		if !errors.Is(err, ports.ErrExists) {
			return err
		}
		pauses, err := c.pauses(ctx)
		before := pauses[key]
		switch {
		case err != nil:
			return err
		case before == nil: // it has just ended
			return ports.ErrChanged
		case before.Kind == ports.Manual || before.Kind == ports.Off:
			pause = *before
			return ErrPaused
		}
		return c.store.States.Change(ctx, *before, pause)
	}))
	if err != nil {
		return pause, fmt.Errorf("pause %s: %w", keyText(key), err)
	}
	c.log.InfoContext(ctx, "paused", "channel", key.Channel, "receiver", key.Receiver, "reason", mask.Text(reason), "by", by)
	return pause, nil
}

// Resume ends the pause of the channel or of one of its receivers, of any kind: the
// notifiers send what was held. It returns the pause that is stored.
func (c *Control) Resume(ctx context.Context, key domain.PauseKey, by string) (after ports.Pause, err error) {
	if err := c.checkKnown(ctx, key.Channel); err != nil {
		return ports.Pause{}, err
	}
	entry := actions.Entry{Action: actions.Resume, By: by, Target: keyText(key)}
	err = c.doOne(ctx, entry, untilUnchanged(func() error {
		pauses, err := c.pauses(ctx)
		if pauses[key] == nil {
			key = c.receiverOf(key)
		}
		before := pauses[key]
		switch {
		case err != nil:
			return err
		case before == nil:
			return ErrNotPaused
		case before.Kind == ports.Draining:
			after = *before
			return ErrNotPaused
		}
		after = ports.Pause{PauseKey: key, Kind: ports.Draining, Reason: before.Reason, By: by, Since: now()}
		return c.store.States.Change(ctx, *before, after)
	}))
	if err != nil {
		return after, fmt.Errorf("resume %s: %w", keyText(key), err)
	}
	c.log.InfoContext(ctx, "resumed", "channel", key.Channel, "receiver", key.Receiver, "by", by)
	return after, nil
}

// ForgetChannel removes a channel that is not configured from the known ones, with its
// pauses that are being drained. Delete its queue first: no notifier names the queue
// afterwards.
//
// [ErrInUse] is returned when the channel is configured or paused, or when its
// notifications wait.
func (c *Control) ForgetChannel(ctx context.Context, name, by string) error {
	if err := c.checkKnown(ctx, name); err != nil {
		return err
	}
	err := c.doOne(ctx, actions.Entry{Action: actions.ForgetChannel, By: by, Target: name}, func() error { return c.forgetChannel(ctx, name) })
	if err == nil {
		c.log.InfoContext(ctx, "channel forgotten", "channel", name, "by", by)
	}
	return err
}

func (c *Control) forgetChannel(ctx context.Context, name string) error {
	if c.channel(name) != nil {
		return fmt.Errorf("forget channel %s: %w: it is configured", name, ErrInUse)
	}
	waits, err := anyWaits(ctx, c.store.Deliveries, name)
	if err != nil {
		return fmt.Errorf("forget channel %s: %w", name, err)
	}
	if waits {
		return fmt.Errorf("forget channel %s: %w: its notifications wait, as GET /undelivered lists them", name, ErrInUse)
	}
	pauses, err := c.store.States.Pauses(ctx)
	if err != nil {
		return fmt.Errorf("forget channel %s: %w", name, err)
	}
	pauses = slices.DeleteFunc(pauses, func(p ports.Pause) bool { return p.Channel != name })
	if slices.ContainsFunc(pauses, func(p ports.Pause) bool { return p.Kind != ports.Draining }) {
		return fmt.Errorf("forget channel %s: %w: it is paused, or one of its receivers is; resume them first", name, ErrInUse)
	}
	for _, pause := range pauses {
		if err := c.store.States.End(ctx, pause); err != nil {
			return fmt.Errorf("forget channel %s: end its pause: %w", name, err)
		}
	}
	if err := c.store.States.Forget(ctx, name); err != nil {
		return fmt.Errorf("forget channel %s: %w", name, err)
	}
	return nil
}

// checkKnown returns ErrUnknownChannel unless the channel is or was configured.
func (c *Control) checkKnown(ctx context.Context, name string) error {
	if c.channel(name) != nil {
		return nil
	}
	all, err := c.Channels(ctx)
	if err != nil {
		return err
	}
	names := make([]string, len(all))
	for i, channel := range all {
		names[i] = channel.Name
		if channel.Name == name {
			return nil
		}
	}
	return fmt.Errorf("%w; known: %s", ErrUnknownChannel, strings.Join(names, ", "))
}

// doOne records the action, and calls act, which changes one record.
func (c *Control) doOne(ctx context.Context, entry actions.Entry, act func() error) error {
	return c.journal.Do(ctx, entry, func(context.Context) (int, error) {
		if err := act(); err != nil {
			return 0, err
		}
		return 1, nil
	})
}

// untilUnchanged returns a function that repeats change while a notifier changes the pause
// at the same time.
func untilUnchanged(change func() error) func() error {
	return func() (err error) {
		const tries = 5
		for range tries {
			if err = change(); !errors.Is(err, ports.ErrChanged) {
				return err
			}
		}
		return err
	}
}

const (
	mustBeReceiver    = "must be a receiver's name, as GET /undelivered shows it"
	mustBePauseReason = "must be 1 to 256 visible characters"
)

func isReceiver(name string) bool { return len(name) <= 128 && isVisible(name) }

func isPauseReason(text string) bool { return utf8.RuneCountInString(text) <= 256 && isVisible(text) }

func isVisible(text string) bool {
	return strings.TrimSpace(text) != "" && !strings.ContainsFunc(text, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) })
}

func keyText(key domain.PauseKey) string {
	if key.Receiver == "" {
		return key.Channel
	}
	return key.Channel + ", receiver " + key.Receiver
}
