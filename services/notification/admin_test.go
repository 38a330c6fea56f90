package notification_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/mock/gomock"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/mocks"
	"example.com/orderflow/services/actions"
	"example.com/orderflow/services/notification"
)

func newAdmin(control *notification.Control) http.Handler {
	return must(notification.NewAdminHandler(control, discard))
}

// The list says why each notification waits, and until when.
func TestUndelivered(t *testing.T) {
	store := new(memory.Store)
	recordStories(t, store)
	for _, pause := range []ports.Pause{
		{PauseKey: domain.PauseKey{Channel: "webhook", Receiver: "hooks.example.com#1a2b3c4d"}, Kind: ports.Breaker, Reason: "503 Service Unavailable", Since: monday, Probe: monday.Add(1e9), Probes: 3},
		{PauseKey: domain.PauseKey{Channel: "email"}, Kind: ports.Manual, Reason: "maintenance", By: "ann@desk", Since: monday},
		{PauseKey: domain.PauseKey{Channel: "webhook", Receiver: "warehouse.example.com#5e6f7a8b"}, Kind: ports.Off, Since: monday},
	} {
		if err := store.ChannelStates().Pause(t.Context(), pause); err != nil {
			t.Fatal(err)
		}
	}
	h := newAdmin(newControl(t, storeOf(store)))
	_, body := call(h, "GET", "/undelivered", "")
	checkGolden(t, "undelivered", indent(t, body))
	_, body = call(h, "GET", "/channels", "")
	checkGolden(t, "channels", indent(t, body))
}

func TestPauseAndResume(t *testing.T) {
	store := new(memory.Store)
	if _, err := store.ChannelStates().Register(t.Context(), "log", "pager/2"); err != nil {
		t.Fatal(err)
	}
	h := newAdmin(newControl(t, storeOf(store)))
	const since = `"since":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"`
	checkAnswers(t, h, []exchange{
		{"POST", "/channels/email/resume", "", 409, `"detail":"it is not paused; GET /channels lists the pauses","instance":"/channels/email/resume","code":"not_paused"`},
		{"POST", "/channels/email/pause", "", 200, `^{"channel":"email","kind":"paused","by":"http 192.0.2.1",` + since + `}$`},
		{"POST", "/channels/email/pause", `{"by":"bob"}`, 409, `"detail":"it is paused already, since .*, by http 192.0.2.1".*"code":"paused"`},
		{"POST", "/channels/webhook/pause", `{"receiver":"a.example#1","reason":"moves","by":"ann"}`, 200, `^{"channel":"webhook","receiver":"a.example#1","kind":"paused","reason":"moves","by":"ann",` + since + `}$`},
		{"GET", "/channels", "", 200, `{"name":"email","kind":"smtp","configured":true,"pauses":\[{"channel":"email","kind":"paused","by":"http 192.0.2.1",[^]]*\]},{"name":"log","kind":"log","configured":true,"pauses":\[\]},{"name":"pager/2","configured":false,"pauses":\[\]},{"name":"webhook"`},
		{"POST", "/channels/webhook/resume", `{}`, 409, `"code":"not_paused"`},
		{"POST", "/channels/webhook/resume", `{"receiver":"a.example#2"}`, 409, `"code":"not_paused"`},
		{"POST", "/channels/webhook/resume", `{"receiver":"a.example#1","by":"bob"}`, 200, `^{"channel":"webhook","receiver":"a.example#1","kind":"draining","reason":"resumed; sends what was held","by":"bob",` + since + `}$`},
		{"POST", "/channels/webhook/resume", `{"receiver":"a.example#1","by":"bob"}`, 409, `"detail":"it was resumed already, at .*; what was held is being sent".*"code":"not_paused"`},
		{"POST", "/channels/webhook/pause", `{"receiver":"a.example#1"}`, 200, `"kind":"paused"`},
		{"POST", "/channels/pager%2F2/pause", `{}`, 200, `^{"channel":"pager/2","kind":"paused"`},
		{"POST", "/channels/fax/pause", `{}`, 404, `"detail":"no such channel; known: email, log, pager/2, webhook"`},
		{"POST", "/channels/fax/resume", ``, 404, `"code":"not_found"`},

		{"POST", "/channels/email/pause", `{"receiver":""}`, 422, `"field":"receiver","detail":"must be a receiver's name`},
		{"POST", "/channels/email/pause", `{"receiver":"` + strings.Repeat("x", 129) + `"}`, 422, `"field":"receiver"`},
		{"POST", "/channels/email/pause", `{"reason":""}`, 422, `"field":"reason","detail":"must be 1 to 256 visible characters"`},
		{"POST", "/channels/email/pause", `{"reason":"` + strings.Repeat("é", 257) + `"}`, 422, `"field":"reason"`},
		{"POST", "/channels/email/pause", `{"reason":"a\nb","by":"\u0000"}`, 422, `"field":"reason".*"field":"by"`},
		{"POST", "/channels/email/pause", `{"by":" "}`, 422, `"field":"by","detail":"must be 1 to 128 visible characters"`},
		{"POST", "/channels/email/resume", `{"reason":"x"}`, 422, `"field":"reason","detail":"is not a field of a resumption; known: receiver, by"`},
		{"POST", "/channels/email/pause", `[]`, 400, `must be a JSON object`},
		{"GET", "/channels/email/pause", ``, 405, `use POST`},

		{"DELETE", "/channels/email", ``, 409, `"code":"in_use"`},
		{"DELETE", "/channels/fax", ``, 404, `"code":"not_found"`},
		{"DELETE", "/channels/pager%2F2", ``, 409, `it is paused, or one of its receivers is; resume them first`},
		{"POST", "/channels/pager%2F2/resume", ``, 200, `"kind":"draining"`},
		{"DELETE", "/channels/pager%2F2", ``, 204, `^$`},
		{"DELETE", "/channels/pager%2F2", ``, 404, `"code":"not_found"`},
		{"GET", "/channels/email", ``, 405, `use DELETE`},
	})
}

func TestContacts(t *testing.T) {
	h := newAdmin(newControl(t, storeOf(new(memory.Store))))
	const updated = `"updated_at":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"`
	const ann = `{"language":"en","addresses":{"email":"ann@example.com","webhook":"https://example.com/x"},"off":["webhook"]}`
	const annAnswer = `^{"user_id":"ann","language":"en","addresses":{"email":"ann@example.com","webhook":"https://example.com/x"},"off":\["webhook"\],` + updated + `}$`
	checkAnswers(t, h, []exchange{
		{"GET", "/contacts/ann", "", 404, `"detail":"the user has no contact"`},
		{"DELETE", "/contacts/ann", "", 404, `"code":"not_found"`},
		{"PUT", "/contacts/ann", ann, 200, annAnswer},
		{"GET", "/contacts/ann", "", 200, annAnswer},
		{"PUT", "/contacts/ann", ann, 200, annAnswer},
		{"PUT", "/contacts/ann", `{}`, 200, `^{"user_id":"ann","addresses":{},"off":\[\],` + updated + `}$`},
		{"DELETE", "/contacts/ann", "", 204, `^$`},
		{"GET", "/contacts/ann", "", 404, `"code":"not_found"`},

		// Ids that must be escaped.
		{"PUT", "/contacts/a%2Fb%20%C3%A9%25%3F%2E%2E", `{"language":"de"}`, 200, `^{"user_id":"a/b é%\?\.\."`},
		{"GET", "/contacts/a%2Fb%20%C3%A9%25%3F%2E%2E", ``, 200, `^{"user_id":"a/b é%\?\.\."`},
		{"PUT", "/contacts/%2E%2E", `{}`, 200, `^{"user_id":"\.\."`},
		{"PUT", "/contacts/" + strings.Repeat("%F0%9F%98%80", 128), `{}`, 200, `^{"user_id":"😀`},
		{"PUT", "/contacts/" + strings.Repeat("%F0%9F%98%80", 129), `{}`, 422, `"field":"user_id","detail":"must have at most 128 characters"`},
		{"PUT", "/contacts/%20", `{}`, 422, `"field":"user_id","detail":"must have a visible character"`},
		{"GET", "/contacts/%20", ``, 404, `"code":"not_found"`},
		{"PUT", "/contacts/a%00", `{}`, 422, `"field":"user_id"`},
		{"GET", "/contacts/a%00", ``, 422, `"field":"user_id"`},
		{"DELETE", "/contacts/%FF", ``, 422, `"field":"user_id","detail":"must be valid UTF-8"`},
		{"GET", "/contacts/", ``, 404, `"code":"not_found"`},
		{"GET", "/contacts", ``, 404, `"code":"not_found"`},
		{"POST", "/contacts/ann", `{}`, 405, `use DELETE, GET, HEAD, PUT`},

		{"PUT", "/contacts/ann", `{"addresses":{"email":"ann"}}`, 422, `"field":"addresses.email","detail":"must contain @"`},
		{"PUT", "/contacts/ann", `{"addresses":{"email":""}}`, 422, `"field":"addresses.email","detail":"must not be empty; leave it out if the user has none"`},
		{"PUT", "/contacts/ann", `{"addresses":{"email":1,"webhook":null}}`, 422, `"field":"addresses.email","detail":"must be a string, not a number"},{"field":"addresses.webhook"`},
		{"PUT", "/contacts/ann", `{"addresses":{"email":"a@b","email":"a@c"}}`, 422, `"field":"addresses.email","detail":"is given more than once"`},
		{"PUT", "/contacts/ann", `{"addresses":{"fax":"1"}}`, 422, `"field":"addresses.fax","detail":"is not a channel with addresses; known: email, webhook"`},
		{"PUT", "/contacts/ann", `{"addresses":{"log":"1"}}`, 422, `"field":"addresses.log"`},
		{"PUT", "/contacts/ann", `{"addresses":{"email":"a@b\n"}}`, 422, `"field":"addresses.email","detail":"must be valid UTF-8 without control characters"`},
		{"PUT", "/contacts/ann", `{"addresses":{"email":"@` + strings.Repeat("x", 2<<10) + `"}}`, 422, `"field":"addresses.email","detail":"must have at most 2048 bytes"`},
		{"PUT", "/contacts/ann", `{"addresses":[]}`, 422, `"field":"addresses","detail":"must be an object of strings, not a list"`},
		{"PUT", "/contacts/ann", `{"off":["fax","email","email"]}`, 422, `"field":"off","detail":"must name \\"email\\" once"},{"field":"off","detail":"\\"fax\\" is not a channel`},
		{"PUT", "/contacts/ann", `{"off":["ann.lee@example.com"]}`, 422, `"field":"off","detail":"\\"a…@example.com\\" is not`},
		{"PUT", "/contacts/ann", `{"off":"email"}`, 422, `"field":"off","detail":"must be a list of strings"`},
		{"PUT", "/contacts/ann", `{"language":""}`, 422, `"field":"language"`},
		{"PUT", "/contacts/ann", `{"language":"en_US"}`, 422, `"field":"language","detail":"must be a language tag \(BCP 47\)`},
		{"PUT", "/contacts/ann", `{"languages":"en","user_id":"bob"}`, 422, `"field":"languages","detail":"is not a field of a contact; known: language, addresses, off"},{"field":"user_id"`},
		{"PUT", "/contacts/ann", `{"language":"en","language":"de"}`, 422, `"field":"language","detail":"is given more than once"`},
		{"PUT", "/contacts/ann", `{`, 400, `"code":"malformed"`},
		{"PUT", "/contacts/ann", `{"addresses":{"email":"` + strings.Repeat("x", 64<<10) + `"}}`, 413, `"code":"too_large"`},
		{"PUT", "/contacts/ann", ``, 415, `"code":"unsupported_media_type"`},
		{"GET", "/contacts/ann", "", 404, `"code":"not_found"`},
	})
}

func TestForgetUser(t *testing.T) {
	store := new(memory.Store)
	recordStories(t, store)
	h := newAdmin(newControl(t, storeOf(store)))
	checkAnswers(t, h, []exchange{
		{"PUT", "/contacts/ann", `{"addresses":{"email":"ann@example.com"}}`, 200, ``},
		{"PUT", "/contacts/bob", `{}`, 200, ``},
		{"POST", "/users/ann/forget", ``, 200, `^{"contacts":1,"notifications":4,"dead_letters":0}$`},
		{"POST", "/users/ann/forget", ``, 200, `^{"contacts":0,"notifications":0,"dead_letters":0}$`},
		{"GET", "/contacts/ann", ``, 404, ``},
		{"GET", "/contacts/bob", ``, 200, ``},
		{"GET", "/undelivered?user_id=ann", ``, 200, `^{"data":\[\]`},
		{"GET", "/undelivered?order_id=" + orderA, ``, 200, `^{"data":\[{[^{}]*"state":"dead","at"[^{}]*`},
		{"POST", "/users/%FF/forget", ``, 422, `"field":"user_id","detail":"must be valid UTF-8"`},
		{"POST", "/users//forget", ``, 307, ``},
		{"GET", "/users/ann/forget", ``, 405, `use POST`},
		{"DELETE", "/users/ann", ``, 404, `"code":"not_found"`},
	})
}

// Forgetting goes on after the failure of a part, and says what is left.
func TestForgetUserPartly(t *testing.T) {
	ctrl := gomock.NewController(t)
	contacts, deliveries, letters := mocks.NewMockContacts(ctrl), mocks.NewMockDeliveryLog(ctrl), mocks.NewMockDeadLetters(ctrl)
	down := fmt.Errorf("secret: %w", ports.ErrUnavailable)
	gomock.InOrder(
		contacts.EXPECT().Delete(gomock.Any(), "ann").Return(down),
		deliveries.EXPECT().Forget(gomock.Any(), "ann").Return(3, nil),
		letters.EXPECT().Forget(gomock.Any(), "ann").Return(2, down),
	)
	control := newControl(t, notification.Store{Deliveries: deliveries, States: new(memory.ChannelStates), Contacts: contacts, DeadLetters: letters, Actions: new(memory.OperatorActions)})
	status, body := call(newAdmin(control), "POST", "/users/ann/forget", "")
	if status != 503 || !strings.Contains(body, `"detail":"these could not be changed: contacts, dead letters; send the request again"`) || strings.Contains(body, "secret") {
		t.Errorf("got %d %s", status, body)
	}
}

// What an operator does is recorded before it is done, with its end, and names no user.
func TestChangesAreRecorded(t *testing.T) {
	store := new(memory.Store)
	if _, err := store.ChannelStates().Register(t.Context(), "fax"); err != nil {
		t.Fatal(err)
	}
	h := newAdmin(newControl(t, storeOf(store)))
	for _, tt := range []struct {
		method, target, body string
		status               int
		want                 ports.OperatorAction // without an action: none
	}{
		{"POST", "/channels/email/pause", `{"receiver":"a.example","reason":"for ann@example.com","by":"bob"}`, 200,
			ports.OperatorAction{By: "bob", Action: "pause", Target: "email, receiver a.example", Reason: "for a…@example.com", ActionEnd: ports.ActionEnd{Outcome: "done", Count: 1}}},
		{"POST", "/channels/email/pause", `{"receiver":"a.example","by":"bob"}`, 409, ports.OperatorAction{
			By: "bob", Action: "pause", Target: "email, receiver a.example", ActionEnd: ports.ActionEnd{Outcome: "failed", Error: "paused already"}}},
		{"POST", "/channels/nowhere/pause", ``, 404, ports.OperatorAction{}},
		{"POST", "/channels/email/pause", `{"receiver":""}`, 422, ports.OperatorAction{}},
		{"POST", "/channels/email/resume", `{"receiver":"a.example"}`, 200,
			ports.OperatorAction{By: "http 192.0.2.1", Action: "resume", Target: "email, receiver a.example", ActionEnd: ports.ActionEnd{Outcome: "done", Count: 1}}},
		{"DELETE", "/channels/fax", ``, 204, ports.OperatorAction{By: "http 192.0.2.1", Action: "forget_channel", Target: "fax", ActionEnd: ports.ActionEnd{Outcome: "done", Count: 1}}},
		{"DELETE", "/channels/email", ``, 409, ports.OperatorAction{By: "http 192.0.2.1", Action: "forget_channel", Target: "email",
			ActionEnd: ports.ActionEnd{Outcome: "failed", Error: "forget channel email: in use: it is configured"}}},
		{"PUT", "/contacts/ann", `{"language":"en"}`, 200, ports.OperatorAction{By: "http 192.0.2.1", Action: "put_contact", Target: actions.User("ann"), ActionEnd: ports.ActionEnd{Outcome: "done", Count: 1}}},
		{"PUT", "/contacts/ann", `{"language":"?"}`, 422, ports.OperatorAction{}},
		{"DELETE", "/contacts/ann", ``, 204, ports.OperatorAction{By: "http 192.0.2.1", Action: "delete_contact", Target: actions.User("ann"), ActionEnd: ports.ActionEnd{Outcome: "done", Count: 1}}},
		{"DELETE", "/contacts/ann", ``, 404, ports.OperatorAction{By: "http 192.0.2.1", Action: "delete_contact", Target: actions.User("ann"), ActionEnd: ports.ActionEnd{Outcome: "failed", Error: "not found"}}},
		{"POST", "/users/ann/forget", `{"by":"bob","why":"ann has asked for it"}`, 200,
			ports.OperatorAction{By: "bob", Action: "forget", Target: actions.User("ann"), Reason: actions.User("ann") + " has asked for it", ActionEnd: ports.ActionEnd{Outcome: "done"}}},
		{"POST", "/users/%FF/forget", ``, 422, ports.OperatorAction{}},
	} {
		count := func() []ports.OperatorAction {
			page, err := store.OperatorActions().List(t.Context(), ports.OperatorActionQuery{Limit: 100})
			if err != nil {
				t.Fatal(err)
			}
			return page.Actions
		}
		before := count()
		status, body := call(h, tt.method, tt.target, tt.body)
		after, want := count(), []ports.OperatorAction(nil)
		if tt.want.Action != "" {
			want = append(want, tt.want)
		}
		got := slices.DeleteFunc(after, func(a ports.OperatorAction) bool {
			return slices.ContainsFunc(before, func(b ports.OperatorAction) bool { return a.ID == b.ID })
		})
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(ports.OperatorAction{}, "ID", "At", "EndedAt")); diff != "" || status != tt.status {
			t.Errorf("%s %s %s: got %d %s, want %d; actions (-want +got):\n%s", tt.method, tt.target, tt.body, status, body, tt.status, diff)
		}
	}
}

// What can't be recorded is not done.
func TestChangesThatAreNotRecorded(t *testing.T) {
	whole := new(memory.Store)
	store := storeOf(whole)
	acts := mocks.NewMockOperatorActions(gomock.NewController(t))
	acts.EXPECT().Begin(gomock.Any(), gomock.Any()).Return(fmt.Errorf("secret: %w", ports.ErrUnavailable)).AnyTimes()
	store.Actions = acts
	contact := ports.Contact{UserID: "ann", UpdatedAt: time.Now()}
	pause := ports.Pause{PauseKey: domain.PauseKey{Channel: "email", Receiver: "a.example"}, Kind: ports.Manual, Since: time.Now()}
	if err := errors.Join(whole.Contacts().Put(t.Context(), contact), whole.ChannelStates().Pause(t.Context(), pause)); err != nil {
		t.Fatal(err)
	}
	h := newAdmin(newControl(t, store))
	for _, request := range [][3]string{
		{"POST", "/channels/email/pause", ``}, {"POST", "/channels/email/resume", `{"receiver":"a.example"}`}, {"PUT", "/contacts/bob", `{}`},
		{"DELETE", "/contacts/ann", ``}, {"POST", "/users/ann/forget", ``},
	} {
		if status, body := call(h, request[0], request[1], request[2]); status != 503 || !strings.Contains(body, `"code":"unavailable"`) || strings.Contains(body, "secret") {
			t.Errorf("%v: got %d %s, want 503", request, status, body)
		}
	}
	contacts, err1 := whole.Contacts().List(t.Context(), 10, "")
	pauses, err2 := whole.ChannelStates().Pauses(t.Context())
	if err := errors.Join(err1, err2); err != nil || len(contacts.Contacts) != 1 || contacts.Contacts[0].UserID != "ann" || !slices.Equal(pauses, []ports.Pause{pause}) {
		t.Errorf("contacts %+v, pauses %+v, error %v", contacts.Contacts, pauses, err)
	}
}

// Pages of other sites can't change anything, nor read.
func TestAdminRefusesPages(t *testing.T) {
	h := newAdmin(newControl(t, storeOf(new(memory.Store))))
	for _, request := range [][2]string{{"POST", "/channels/email/pause"}, {"PUT", "/contacts/ann"}, {"POST", "/users/ann/forget"}, {"GET", "/undelivered"}} {
		r := httptest.NewRequest(request[0], request[1], nil)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		w := do(h, r)
		if w.Code != 403 {
			t.Errorf("%v: got %d %s, want 403", request, w.Code, w.Body)
		}
	}
}

// Each change is logged with its author, without addresses.
func TestChangesAreLogged(t *testing.T) {
	var out bytes.Buffer
	store := new(memory.Store)
	if _, err := store.ChannelStates().Register(t.Context(), "fax"); err != nil {
		t.Fatal(err)
	}
	control := must(notification.NewControl(storeOf(store), []notification.ChannelInfo{{Name: "email", Addressed: addressRule{must: "@"}}}, slog.New(slog.NewTextHandler(&out, nil))))
	h := newAdmin(control)
	for _, tt := range []struct{ method, target, body, want string }{
		{"POST", "/channels/email/pause", `{"reason":"asked by ann.lee@example.com","by":"bob@desk"}`, `msg=paused channel=email receiver="" reason="asked by a…@example.com" by=bob@desk`},
		{"POST", "/channels/email/resume", `{"by":"bob@desk"}`, `msg=resumed channel=email receiver="" by=bob@desk`},
		{"DELETE", "/channels/fax", ``, `msg="channel forgotten" channel=fax by="http 192.0.2.1"`},
		{"PUT", "/contacts/ann.lee@example.com", `{"addresses":{"email":"ann.lee@example.com"},"off":["email"]}`, `msg="contact stored" user_id=a…@example.com by="http 192.0.2.1" channels=\[email\] off=\[email\]`},
		{"DELETE", "/contacts/ann.lee@example.com", ``, `msg="contact deleted" user_id=a…@example.com by="http 192.0.2.1"`},
		{"POST", "/users/ann.lee@example.com/forget", ``, `msg="user forgotten" user_id=a…@example.com by="http 192.0.2.1" contacts=0 notifications=0 dead_letters=0`},
	} {
		out.Reset()
		status, body := call(h, tt.method, tt.target, tt.body)
		if status/100 != 2 || !regexp.MustCompile(tt.want+".*request_id=request-1").MatchString(out.String()) || strings.Contains(out.String(), "ann.lee") {
			t.Errorf("%s %s: got %d %s, logged %s, want %s", tt.method, tt.target, status, body, out.String(), tt.want)
		}
	}
}

// Answers never contain the text of an internal error.
func TestAdminOfAFailingStore(t *testing.T) {
	for err, want := range map[error]struct {
		status int
		code   string
	}{
		fmt.Errorf("secret: %w", ports.ErrUnavailable):     {503, "unavailable"},
		fmt.Errorf("secret: %w", context.DeadlineExceeded): {503, "unavailable"},
		errors.New("secret"):                               {500, "internal"},
		fmt.Errorf("secret: %w", &ports.UnreadableError{ID: "ann", Field: "language", Reason: "is a number"}): {500, "unreadable"},
	} {
		ctrl := gomock.NewController(t)
		contacts, states := mocks.NewMockContacts(ctrl), mocks.NewMockChannelStates(ctrl)
		contacts.EXPECT().Get(gomock.Any(), "ann").Return(ports.Contact{}, err)
		contacts.EXPECT().Put(gomock.Any(), gomock.Any()).Return(err)
		contacts.EXPECT().Delete(gomock.Any(), "ann").Return(err)
		states.EXPECT().Register(gomock.Any()).Return(nil, err).Times(2)
		states.EXPECT().Pause(gomock.Any(), gomock.Any()).Return(err)
		states.EXPECT().Pauses(gomock.Any()).Return(nil, err).Times(2)
		store := storeOf(new(memory.Store))
		store.Contacts, store.States = contacts, states
		h := newAdmin(newControl(t, store))
		for _, request := range [][3]string{
			{"GET", "/contacts/ann"}, {"PUT", "/contacts/ann", "{}"}, {"DELETE", "/contacts/ann"}, {"GET", "/channels"},
			{"POST", "/channels/email/pause"}, {"POST", "/channels/email/resume"}, {"DELETE", "/channels/fax"}, {"GET", "/undelivered"},
		} {
			status, body := call(h, request[0], request[1], request[2])
			if status != want.status || !strings.Contains(body, `"code":"`+want.code+`"`) || strings.Contains(body, "secret") {
				t.Errorf("%v, %v: got %d %s, want %d %s", request, err, status, body, want.status, want.code)
			}
		}
	}
}
