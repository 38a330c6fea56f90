package notification_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/mock/gomock"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/mocks"
	"example.com/orderflow/services/notification"
)

func TestControlConstructorsRefuse(t *testing.T) {
	store := storeOf(new(memory.Store))
	controlOf := func(change func(*notification.Store), names ...string) error {
		store := store
		change(&store)
		var channels []notification.ChannelInfo
		for _, name := range names {
			channels = append(channels, notification.ChannelInfo{Name: name, Addressed: addressRule{}})
		}
		_, err := notification.NewControl(store, channels, discard)
		return err
	}
	nothing := func(*notification.Store) {}
	handlerOf := func(control *notification.Control) error {
		_, err := notification.NewHandler(control, nil, nil, discard)
		return err
	}
	adminOf := func(control *notification.Control) error {
		_, err := notification.NewAdminHandler(control, discard)
		return err
	}
	for _, tt := range []struct {
		name string
		err  error
		want string // empty: no error
	}{
		{"control", controlOf(nothing, "email", "webhook"), ""},
		{"no delivery log", controlOf(func(s *notification.Store) { s.Deliveries = nil }), "notification control needs a delivery log, got nil"},
		{"no states", controlOf(func(s *notification.Store) { s.States = nil }), "notification control needs channel states, got nil"},
		{"no contacts", controlOf(func(s *notification.Store) { s.Contacts = nil }), "notification control needs contacts, got nil"},
		{"no dead letters", controlOf(func(s *notification.Store) { s.DeadLetters = nil }), "notification control needs dead letters, got nil"},
		{"no actions", controlOf(func(s *notification.Store) { s.Actions = nil }), "notification control: journal needs a store of operators' actions, got nil"},
		{"same names", controlOf(nothing, "email", "a", "email"), `notification control: two channels are named "email"`},
		{"a column's name", controlOf(nothing, "off"), `notification control: no channel with addresses can be named "off", because files of contacts have a column with this name`},
		{"handler without a control", handlerOf(nil), "notification handler needs a control, got nil"},
		{"handler with a zero control", handlerOf(new(notification.Control)), "notification handler needs a control made by NewControl, got a zero value"},
		{"admin handler without a control", adminOf(nil), "notification admin handler needs a control, got nil"},
		{"admin handler with a zero control", adminOf(new(notification.Control)), "notification admin handler needs a control made by NewControl, got a zero value"},
	} {
		got := ""
		if tt.err != nil {
			got = tt.err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: got error %q, want %q", tt.name, got, tt.want)
		}
	}
	if _, err := notification.NewControl(store, []notification.ChannelInfo{{Name: "off"}}, nil); err != nil {
		t.Errorf("a channel without addresses, and no logger: %v", err)
	}
}

var receiver = domain.PauseKey{Channel: "webhook", Receiver: "a.example#1"}

// A person's pause takes the place of a breaker's and of one that is over, not of
// another person's, nor of a receiver's that is switched off.
func TestPauseTakesThePlaceOf(t *testing.T) {
	for _, tt := range []struct {
		kind          ports.PauseKind
		pause, resume ports.PauseKind // stored afterwards; empty: as before, with an error
	}{
		{ports.Breaker, ports.Manual, ports.Draining},
		{ports.Draining, ports.Manual, ""},
		{ports.Manual, "", ports.Draining},
		{ports.Off, "", ports.Draining},
	} {
		for name, change := range map[string]struct {
			call func(*notification.Control) (ports.Pause, error)
			want ports.PauseKind
			err  error
		}{
			"pause":  {func(c *notification.Control) (ports.Pause, error) { return c.Pause(t.Context(), receiver, "r", "ann") }, tt.pause, notification.ErrPaused},
			"resume": {func(c *notification.Control) (ports.Pause, error) { return c.Resume(t.Context(), receiver, "ann") }, tt.resume, notification.ErrNotPaused},
		} {
			states := new(memory.ChannelStates)
			before := ports.Pause{PauseKey: receiver, Kind: tt.kind, Reason: "503", By: "bob", Since: monday, Probe: monday, Probes: 4}
			if err := states.Pause(t.Context(), before); err != nil {
				t.Fatal(err)
			}
			store := storeOf(new(memory.Store))
			store.States = states
			got, err := change.call(newControl(t, store))
			stored := must(states.Pauses(t.Context()))[0]
			if got != stored {
				t.Errorf("%s of %s: returned %+v, stored %+v", name, tt.kind, got, stored)
			}
			switch {
			case change.want == "" && (!errors.Is(err, change.err) || stored != before):
				t.Errorf("%s of %s: got error %v, stored %+v; want it as before", name, tt.kind, err, stored)
			case change.want != "" && (err != nil || stored.Kind != change.want || stored.By != "ann" || !stored.Probe.IsZero() || stored.Probes != 0):
				t.Errorf("%s of %s: got error %v, stored %+v; want it %s", name, tt.kind, err, stored, change.want)
			}
		}
	}
}

// named is a channel whose receivers are named after their addresses.
type named struct{ ports.AddressedChannel }

func (named) Receiver(address string) string { return address + "#1" }

// Operators may name an endpoint: the pause is its receiver's.
func TestPauseOfAnEndpoint(t *testing.T) {
	store := storeOf(new(memory.Store))
	control := must(notification.NewControl(store, []notification.ChannelInfo{
		{Name: "webhook", Addressed: named{}, Endpoints: []notification.Endpoint{{Name: "berlin", Address: "a.example"}}},
	}, discard))
	berlin := domain.PauseKey{Channel: "webhook", Receiver: "berlin"}
	if got := must(control.Pause(t.Context(), berlin, "", "ann")).PauseKey; got != receiver {
		t.Errorf("paused %+v, want %+v", got, receiver)
	}
	if _, err := control.Pause(t.Context(), receiver, "", "ann"); !errors.Is(err, notification.ErrPaused) {
		t.Errorf("pause of the receiver: %v, want ErrPaused", err)
	}
	if got := must(control.Resume(t.Context(), berlin, "bob")); got.PauseKey != receiver || got.Kind != ports.Draining {
		t.Errorf("resumed %+v", got)
	}
	if err := store.States.Pause(t.Context(), ports.Pause{PauseKey: berlin, Kind: ports.Manual, Since: monday}); err != nil {
		t.Fatal(err)
	}
	if got := must(control.Resume(t.Context(), berlin, "bob")).PauseKey; got != berlin { // a receiver of this name is paused
		t.Errorf("resumed %+v, want %+v", got, berlin)
	}
}

func TestForgetChannelWhileNotificationsWait(t *testing.T) {
	store := new(memory.Store)
	recordStories(t, store)
	if _, err := store.ChannelStates().Register(t.Context(), "email"); err != nil {
		t.Fatal(err)
	}
	control := must(notification.NewControl(storeOf(store), nil, discard))
	if err := control.ForgetChannel(t.Context(), "email", "ann"); !errors.Is(err, notification.ErrInUse) || !strings.Contains(err.Error(), "its notifications wait") {
		t.Errorf("got %v, want ErrInUse", err)
	}
	if _, err := control.Forget(t.Context(), "ann", "bob", ""); err != nil { // hers are the only ones that wait
		t.Fatal(err)
	}
	if err := control.ForgetChannel(t.Context(), "email", "ann"); err != nil {
		t.Error(err)
	}
}

// An empty id would select the notifications without a user.
func TestForgetNobody(t *testing.T) {
	control := newControl(t, storeOf(new(memory.Store)))
	if _, err := control.Forget(t.Context(), "", "bob", ""); !errors.As(err, new(*domain.InvalidError)) {
		t.Errorf("got %v, want an InvalidError", err)
	}
}

// Only the pause that keeps a notification from being sent is shown with it.
func TestPauseOfUndelivered(t *testing.T) {
	email, webhook := domain.PauseKey{Channel: "email"}, domain.PauseKey{Channel: "webhook"}
	server := domain.PauseKey{Channel: "email", Receiver: "mail.example.com"}
	hook := domain.PauseKey{Channel: "webhook", Receiver: "hooks.example.com#1a2b3c4d"}
	for _, tt := range []struct {
		key  domain.PauseKey
		kind ports.PauseKind
		of   string // the channels of the notifications that it is shown with
	}{
		{email, ports.Manual, "email"},
		{email, ports.Draining, ""},
		{server, ports.Breaker, "email"},
		{server, ports.Draining, ""},
		{webhook, ports.Manual, "webhook"},
		{hook, ports.Manual, "webhook"},
		{hook, ports.Draining, "webhook"}, // it holds the notification until it is sent
		{domain.PauseKey{Channel: "log"}, ports.Manual, ""},
		{domain.PauseKey{Channel: "webhook", Receiver: "warehouse.example.com#5e6f7a8b"}, ports.Off, ""}, // the notification is dead
	} {
		store := new(memory.Store)
		recordStories(t, store)
		if err := store.ChannelStates().Pause(t.Context(), ports.Pause{PauseKey: tt.key, Kind: tt.kind, Since: monday, Probe: monday}); err != nil {
			t.Fatal(err)
		}
		page := must(newControl(t, storeOf(store)).Undelivered(t.Context(), ports.NotificationQuery{Limit: 10}))
		var with []string
		for _, u := range page.Notifications {
			if view := notification.NewUndeliveredView(u); view.Pause != nil {
				with = append(with, u.Channel)
				if (view.Pause.NextProbe != "") != (tt.kind == ports.Breaker) {
					t.Errorf("%v %s: the next probe is %q", tt.key, tt.kind, view.Pause.NextProbe)
				}
			}
		}
		if got := strings.Join(with, ","); got != tt.of {
			t.Errorf("%v %s is shown with %q, want %q", tt.key, tt.kind, got, tt.of)
		}
	}
}

// The next try of a held notification is its pause's next probe, not the time of the log,
// which is a safety net.
func TestNextTryOfHeld(t *testing.T) {
	hook := domain.PauseKey{Channel: "webhook", Receiver: "hooks.example.com#1a2b3c4d"}
	for kind, want := range map[ports.PauseKind]string{
		"":             "2026-11-23T11:03:00.000Z", // without a pause, the log's time holds
		ports.Manual:   "",
		ports.Off:      "",
		ports.Breaker:  "2026-11-23T10:00:00.000Z",
		ports.Draining: "2000-01-01T00:00:00.000Z", // now
	} {
		synctest.Test(t, func(t *testing.T) {
			store := new(memory.Store)
			recordStories(t, store)
			if kind != "" {
				if err := store.ChannelStates().Pause(t.Context(), ports.Pause{PauseKey: hook, Kind: kind, Since: monday, Probe: monday}); err != nil {
					t.Fatal(err)
				}
			}
			control, query := newControl(t, storeOf(store)), ports.NotificationQuery{States: []domain.NotificationState{domain.Held, domain.Retrying}, Limit: 10}
			list, undelivered := must(control.Notifications(t.Context(), query)), must(control.Undelivered(t.Context(), query))
			for i, n := range list.Notifications {
				want := want
				if n.State != domain.Held {
					want = "2026-11-23T10:04:00.000Z"
				}
				if listed, waits := notification.NewView(n).NextTry, notification.NewUndeliveredView(undelivered.Notifications[i]).NextTry; listed != want || waits != want {
					t.Errorf("%s by a pause of kind %q: the next try is %q and %q, want %q", n.State, kind, listed, waits, want)
				}
			}
		})
	}
}

// Notifiers may change a pause at the same time.
func TestPauseWhileItChanges(t *testing.T) {
	states := mocks.NewMockChannelStates(gomock.NewController(t))
	store := storeOf(new(memory.Store))
	store.States = states
	control := newControl(t, store)
	first := ports.Pause{PauseKey: receiver, Kind: ports.Breaker, Since: monday}
	second := first
	second.Probes = 1
	gomock.InOrder(
		states.EXPECT().Pause(gomock.Any(), gomock.Any()).Return(ports.ErrExists),
		states.EXPECT().Pauses(gomock.Any()).Return(nil, nil), // it has ended
		states.EXPECT().Pause(gomock.Any(), gomock.Any()).Return(ports.ErrExists),
		states.EXPECT().Pauses(gomock.Any()).Return([]ports.Pause{first}, nil),
		states.EXPECT().Change(gomock.Any(), first, gomock.Any()).Return(ports.ErrChanged),
		states.EXPECT().Pause(gomock.Any(), gomock.Any()).Return(ports.ErrExists),
		states.EXPECT().Pauses(gomock.Any()).Return([]ports.Pause{second}, nil),
		states.EXPECT().Change(gomock.Any(), second, gomock.Any()).Return(nil),
	)
	if pause, err := control.Pause(t.Context(), receiver, "", "ann"); err != nil || pause.Kind != ports.Manual {
		t.Errorf("got %+v, %v", pause, err)
	}

	states.EXPECT().Pauses(gomock.Any()).Return([]ports.Pause{first}, nil).Times(5)
	states.EXPECT().Change(gomock.Any(), first, gomock.Any()).Return(ports.ErrChanged).Times(5)
	if _, err := control.Resume(t.Context(), receiver, "ann"); !errors.Is(err, ports.ErrChanged) {
		t.Errorf("got %v, want ErrChanged after a bounded number of tries", err)
	}
	states.EXPECT().Pauses(gomock.Any()).Return([]ports.Pause{first}, nil).Times(5)
	states.EXPECT().Change(gomock.Any(), first, gomock.Any()).Return(ports.ErrChanged).Times(5)
	if status, body := call(newAdmin(control), "POST", "/channels/webhook/resume", `{"receiver":"a.example#1"}`); status != 409 {
		t.Errorf("got %d %s, want 409", status, body)
	}
	states.EXPECT().Pause(gomock.Any(), gomock.Any()).Return(ports.ErrExists).Times(5)
	states.EXPECT().Pauses(gomock.Any()).Return([]ports.Pause{first}, nil).Times(5)
	states.EXPECT().Change(gomock.Any(), first, gomock.Any()).Return(ports.ErrChanged).Times(5)
	if status, body := call(newAdmin(control), "POST", "/channels/webhook/pause", `{"receiver":"a.example#1"}`); status != 409 {
		t.Errorf("got %d %s, want 409", status, body)
	}
	draining := ports.Pause{PauseKey: domain.PauseKey{Channel: "fax"}, Kind: ports.Draining, Since: monday}
	states.EXPECT().Register(gomock.Any()).Return([]string{"fax"}, nil)
	states.EXPECT().Pauses(gomock.Any()).Return([]ports.Pause{draining}, nil).Times(2)
	states.EXPECT().End(gomock.Any(), draining).Return(ports.ErrChanged)
	if status, body := call(newAdmin(control), "DELETE", "/channels/fax", ""); status != 409 {
		t.Errorf("got %d %s, want 409", status, body)
	}
}

// A command's arguments are checked as a request's fields are: all notifiers read each
// pause once a second.
func TestPauseChecksReceiverAndReason(t *testing.T) {
	for field, args := range map[string][2]string{
		"receiver": {strings.Repeat("r", 129), "moves"},
		"reason":   {"a.example#1", strings.Repeat("é", 257)},
	} {
		for _, args := range [][2]string{args, {args[0] + "\u202e", args[1] + "\u202e"}} {
			states := new(memory.ChannelStates)
			store := storeOf(new(memory.Store))
			store.States = states
			_, err := newControl(t, store).Pause(t.Context(), domain.PauseKey{Channel: receiver.Channel, Receiver: args[0]}, args[1], "ann")
			var invalid *domain.InvalidError
			if !errors.As(err, &invalid) || !slices.ContainsFunc(invalid.Fields, func(f domain.FieldError) bool { return f.Field == field }) {
				t.Errorf("%s: got error %v, want one about this field", field, err)
			}
			if stored := must(states.Pauses(t.Context())); len(stored) > 0 {
				t.Errorf("%s: stored %+v", field, stored)
			}
		}
	}
}

// A dead notification is listed as undelivered until a person has decided about its
// dead letter.
func TestUndeliveredUntilSettled(t *testing.T) {
	decide := func(state ports.DeadLetterState) func(*testing.T, *memory.Store) {
		return func(t *testing.T, store *memory.Store) {
			letter := must(store.DeadLetters().Get(t.Context(), orderA+"-created.webhook"))
			if err := store.DeadLetters().Settle(t.Context(), letter, state, "ann"); err != nil {
				t.Fatal(err)
			}
		}
	}
	die := func(t *testing.T, store *memory.Store) { // again, without a letter so far
		claim := must(store.Deliveries().Claim(t.Context(), domain.NotificationKey{EventID: orderA + "-created", Channel: "webhook", Recipient: "warehouse"}))
		if err := claim.Record(t.Context(), domain.Notification{
			EventID: orderA + "-created", Channel: "webhook", Recipient: "warehouse", OrderID: orderA, State: domain.Dead, At: time.Now(),
		}, domain.Event{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*testing.T, *memory.Store)
		want   int
	}{
		{"waiting", func(*testing.T, *memory.Store) {}, 1},
		{"discarded", decide(ports.Discarded), 0},
		{"replayed", decide(ports.Replayed), 0},
		{"dead again after its replay", func(t *testing.T, store *memory.Store) {
			decide(ports.Replayed)(t, store)
			time.Sleep(time.Second)
			die(t, store)
		}, 1},
		{"without a letter any more", func(t *testing.T, store *memory.Store) {
			decide(ports.Discarded)(t, store)
			time.Sleep(ports.DeadLetterRetention + time.Hour)
		}, 0},
		{"without a letter yet", func(t *testing.T, store *memory.Store) {
			decide(ports.Discarded)(t, store)
			time.Sleep(ports.DeadLetterRetention + time.Hour)
			die(t, store)
		}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Until(monday.Add(time.Hour)))
				store := new(memory.Store)
				recordStories(t, store)
				tt.change(t, store)
				control, dead := newControl(t, storeOf(store)), ports.NotificationQuery{States: []domain.NotificationState{domain.Dead}, Limit: 10}
				if page := must(control.Undelivered(t.Context(), dead)); len(page.Notifications) != tt.want {
					t.Errorf("%d dead notifications are undelivered, want %d", len(page.Notifications), tt.want)
				}
				if page := must(control.Notifications(t.Context(), dead)); len(page.Notifications) != 1 {
					t.Errorf("%d dead notifications, want one", len(page.Notifications))
				}
			})
		})
	}
}

// A pause that is over is not shown with the reason that it had.
func TestReasonOfADrainedPause(t *testing.T) {
	for by, want := range map[string]string{"": "works again; sends what was held", "ann": "resumed; sends what was held"} {
		view := notification.NewPauseView(ports.Pause{PauseKey: receiver, Kind: ports.Draining, Reason: "503", By: by, Since: monday})
		if view.Reason != want {
			t.Errorf("resumed by %q: the reason is %q, want %q", by, view.Reason, want)
		}
	}
}
